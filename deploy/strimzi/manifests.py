"""Write Strimzi's manifests: the topics of `optout topics create`, and a user for each role.

The rights on Kafka are also copied to where `optout doctor` reads them.

    python deploy/strimzi/manifests.py [--cluster NAME] [--replicas N] [FOLDER]

Users have the rights in `deploy/acls.toml` and no others. Prefix, partitions and the rest are those
of the ``OPTOUT_`` settings. FOLDER defaults to this folder, which keeps the files for the default
settings; a test compares them with new files.
"""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from processor import config
from processor.config import Settings
from processor.kafka.topics import topic_plan

API_VERSION = "kafka.strimzi.io/v1"
CLUSTER = "kafka"
REPLICAS = 3
ACLS = Path(__file__).parents[1] / "acls.toml"
RIGHTS = Path(__file__).parents[2] / "processor" / "doctor" / "rights.json"
_RESOURCES = {"topics": "topic", "groups": "group", "transactional_ids": "transactionalId"}

Manifest = dict[str, Any]


def topics(settings: Settings, cluster: str, replicas: int) -> Iterator[Manifest]:
    """Make a KafkaTopic for every topic; with three replicas, two must have a record."""
    for plan in topic_plan.plans(settings):
        yield {
            "apiVersion": API_VERSION,
            "kind": "KafkaTopic",
            "metadata": {"name": name_of(plan.name), "labels": labels(cluster)},
            "spec": {
                "topicName": plan.name,
                "partitions": plan.partitions,
                "replicas": replicas,
                "config": {
                    key: yaml.safe_load(value) for key, value in plan.settings(replicas).items()
                },
            },
        }


def users(settings: Settings, cluster: str, roles: Mapping[str, Any]) -> Iterator[Manifest]:
    """Make a KafkaUser for every role, with the password in a Secret of its name."""
    for role, rights in roles.items():
        yield {
            "apiVersion": API_VERSION,
            "kind": "KafkaUser",
            "metadata": {
                "name": name_of(settings.topic_prefix + role),
                "labels": labels(cluster),
                "annotations": {"optout/about": rights["about"]},
            },
            "spec": {
                "authentication": {"type": "scram-sha-512"},
                "authorization": {
                    "type": "simple",
                    "acls": [
                        {
                            "resource": {"type": kind, **named(settings.topic_prefix + name)},
                            "operations": list(operations),
                        }
                        for table, kind in _RESOURCES.items()
                        for name, operations in rights.get(table, {}).items()
                    ],
                },
            },
        }


def named(name: str) -> dict[str, str]:
    """Make a Kafka resource's name: a name that ends in * is a prefix, and * alone matches all."""
    if name.endswith("*") and name != "*":
        return {"name": name.removesuffix("*"), "patternType": "prefix"}
    return {"name": name, "patternType": "literal"}


def labels(cluster: str) -> dict[str, str]:
    """Make the labels that assign a resource to a Kafka cluster of Strimzi."""
    return {"strimzi.io/cluster": cluster, "app.kubernetes.io/part-of": "optout"}


def name_of(name: str) -> str:
    """Make a Kubernetes name; unlike Kafka's names, it has no capitals and underscores."""
    return re.sub(r"[^a-z0-9.-]", "-", name.lower()).strip(".-")


def texts(settings: Settings, cluster: str = CLUSTER, replicas: int = REPLICAS) -> dict[str, str]:
    """Make the text of every file, by file name."""
    roles = tomllib.loads(ACLS.read_text("utf-8"))["kafka"]
    return {
        "topics.yaml": _yaml(topics(settings, cluster, replicas)),
        "users.yaml": _yaml(users(settings, cluster, roles)),
    }


def rights() -> str:
    """Make the text of the file that the package holds: each role's rights on Kafka."""
    roles = tomllib.loads(ACLS.read_text("utf-8"))["kafka"]
    kept = {
        role: {kind: given.get(kind, {}) for kind in _RESOURCES} for role, given in roles.items()
    }
    return json.dumps(kept, indent=1) + "\n"


def _yaml(manifests: Iterator[Manifest]) -> str:
    head = "# Made by deploy/strimzi/manifests.py; `make manifests` rewrites it.\n"
    return head + yaml.safe_dump_all(manifests, sort_keys=False, explicit_start=True, width=100)


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--cluster", default=CLUSTER, help="of the Kafka resource")
    parser.add_argument("--replicas", type=int, default=REPLICAS, help="of every topic; default 3")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts(config.load(), given.cluster, given.replicas).items():
        (given.folder / name).write_text(text, encoding="utf-8")
        print(given.folder / name)
    RIGHTS.write_text(rights(), encoding="utf-8")
    print(RIGHTS)


if __name__ == "__main__":
    main()
