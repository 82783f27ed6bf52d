"""Writes Strimzi's KafkaTopic manifests: what `optout topics create` would make.

    python deploy/strimzi/manifests.py [--cluster NAME] [FOLDER]

Prefix, partitions and the rest are those of the ``OPTOUT_`` settings. FOLDER is this one, where the
files of an installation with default settings are kept; a test makes them again and compares.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from processor import config
from processor.config import Settings
from processor.kafka import topic_admin

API_VERSION = "kafka.strimzi.io/v1"
CLUSTER = "kafka"

Manifest = dict[str, Any]


def topics(settings: Settings, cluster: str) -> Iterator[Manifest]:
    """A KafkaTopic for every topic; replication is the broker's default."""
    for plan in topic_admin.plans(settings):
        yield {
            "apiVersion": API_VERSION,
            "kind": "KafkaTopic",
            "metadata": {"name": name_of(plan.name), "labels": labels(cluster)},
            "spec": {
                "topicName": plan.name,
                "partitions": plan.partitions,
                "config": {key: number(value) for key, value in plan.config.items()},
            },
        }


def labels(cluster: str) -> dict[str, str]:
    """What tells Strimzi whose a resource is."""
    return {"strimzi.io/cluster": cluster, "app.kubernetes.io/part-of": "optout"}


def name_of(topic: str) -> str:
    """A Kubernetes name: a topic's may have capitals and underscores."""
    return re.sub(r"[^a-z0-9.-]", "-", topic.lower()).strip(".-")


def number(value: str) -> int | float | str:
    """A topic's setting, as its YAML should show it."""
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def texts(settings: Settings, cluster: str = CLUSTER) -> dict[str, str]:
    """Every file, by its name."""
    return {"topics.yaml": _yaml(topics(settings, cluster))}


def _yaml(manifests: Iterator[Manifest]) -> str:
    head = "# Made by deploy/strimzi/manifests.py; `make manifests` writes it anew.\n"
    return head + yaml.safe_dump_all(manifests, sort_keys=False, explicit_start=True, width=100)


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--cluster", default=CLUSTER, help="of the Kafka resource")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts(config.load(), given.cluster).items():
        (given.folder / name).write_text(text, encoding="utf-8")
        print(given.folder / name)


if __name__ == "__main__":
    main()
