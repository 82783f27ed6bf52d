"""Strimzi's manifests are what `optout topics create` would make."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType
from typing import Any

import pytest
import yaml

from processor.config import Settings
from processor.kafka.topic_admin import plans
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


@pytest.mark.parametrize("settings", [Settings(), ODD])
def test_every_topic_is_there_as_the_command_would_make_it(
    made: ModuleType, settings: Settings
) -> None:
    manifests: list[dict[str, Any]] = list(made.topics(settings, "kafka"))
    assert [
        (
            one["spec"]["topicName"],
            one["spec"]["partitions"],
            {key: str(value) for key, value in one["spec"]["config"].items()},
        )
        for one in manifests
    ] == [(plan.name, plan.partitions, dict(plan.config)) for plan in plans(settings)]
    names = [one["metadata"]["name"] for one in manifests]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", name) for name in names)


def test_they_are_of_the_version_and_the_cluster_that_strimzi_looks_for(made: ModuleType) -> None:
    for text in made.texts(ODD, "main").values():
        for one in yaml.safe_load_all(text):
            assert one["apiVersion"] == "kafka.strimzi.io/v1"
            assert one["metadata"]["labels"]["strimzi.io/cluster"] == "main"
