"""Strimzi's manifests: the topics of `optout topics create`, users with the rights of acls.toml."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from types import ModuleType
from typing import Any

import pytest
import yaml

from processor.config import Settings
from processor.kafka.topics.topic_plan import plans
from tests.deploy.conftest import ROOT

FOLDER = ROOT / "deploy" / "strimzi"
ODD = Settings(topic_prefix="EU_optout-", partitions=48)


@pytest.fixture(scope="module")
def made() -> ModuleType:
    spec = importlib.util.spec_from_file_location("manifests", FOLDER / "manifests.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_are_what_topics_and_settings_make(made: ModuleType) -> None:
    files = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.yaml")}
    assert files == made.texts(Settings(topic_prefix="optout.", partitions=12))


def in_lower_case(settings: dict[str, str]) -> dict[str, str]:
    return {key: value.lower() for key, value in settings.items()}


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("settings", [Settings(), ODD])
def test_every_topic_is_there_as_the_command_would_make_it(
    made: ModuleType, settings: Settings, replicas: int
) -> None:
    manifests: list[dict[str, Any]] = list(made.topics(settings, "kafka", replicas))
    assert [
        (
            one["spec"]["topicName"],
            one["spec"]["partitions"],
            one["spec"]["replicas"],
            {key: str(value).lower() for key, value in one["spec"]["config"].items()},
        )
        for one in manifests
    ] == [
        (plan.name, plan.partitions, replicas, in_lower_case(plan.settings(replicas)))
        for plan in plans(settings)
    ]
    names = [one["metadata"]["name"] for one in manifests]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", name) for name in names)


def test_they_are_of_the_version_and_the_cluster_that_strimzi_looks_for(made: ModuleType) -> None:
    for text in made.texts(ODD, "main").values():
        for one in yaml.safe_load_all(text):
            assert one["apiVersion"] == "kafka.strimzi.io/v1"
            assert one["metadata"]["labels"]["strimzi.io/cluster"] == "main"


def test_a_user_has_its_roles_rights_and_no_others(made: ModuleType) -> None:
    roles = {
        "match": {
            "about": "reads and writes",
            "topics": {"*": ["Describe"], "block-list.v2": ["Read", "Write"]},
            "groups": {"match": ["Read"]},
            "transactional_ids": {"match-*": ["Write"]},
        }
    }
    [user] = made.users(ODD, "kafka", roles)
    assert (user["kind"], user["metadata"]["name"]) == ("KafkaUser", "eu-optout-match")
    assert user["spec"]["authentication"] == {"type": "scram-sha-512"}
    assert [
        (*one["resource"].values(), *one["operations"])
        for one in user["spec"]["authorization"]["acls"]
    ] == [
        ("topic", "EU_optout-", "prefix", "Describe"),
        ("topic", "EU_optout-block-list.v2", "literal", "Read", "Write"),
        ("group", "EU_optout-match", "literal", "Read"),
        ("transactionalId", "EU_optout-match-", "prefix", "Write"),
    ]


def test_without_a_prefix_all_is_kafkas_star(made: ModuleType) -> None:
    assert made.named("*") == {"name": "*", "patternType": "literal"}


def test_every_role_is_a_user_and_names_what_there_is(made: ModuleType) -> None:
    settings = Settings(topic_prefix="optout.", partitions=12)
    roles = tomllib.loads(made.ACLS.read_text("utf-8"))["kafka"]
    topics = {plan.name for plan in plans(settings)}
    users = list(made.users(settings, "kafka", roles))
    assert [user["metadata"]["name"] for user in users] == [f"optout.{role}" for role in roles]
    for user in users:
        for acl in user["spec"]["authorization"]["acls"]:
            resource = acl["resource"]
            assert resource["type"] in ("topic", "group", "transactionalId")
            assert resource["name"].startswith("optout.")
            if (resource["type"], resource["patternType"]) == ("topic", "literal"):
                assert resource["name"] in topics
            assert set(acl["operations"]) <= {
                *("Read", "Write", "Create", "Describe", "DescribeConfigs", "AlterConfigs")
            }
