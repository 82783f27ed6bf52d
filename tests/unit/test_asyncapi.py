"""The AsyncAPI document describes the topics, and AsyncAPI's own parser accepts it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas import MODELS, asyncapi
from schemas.cloud_events import TYPES
from tests.schema_files import EXAMPLES, TOPICS

PARSER = Path(__file__).parents[1] / "clients" / "asyncapi"
WARNING = 1  # by Spectral's numbers; 0 is an error


@pytest.fixture(scope="module")
def parsed() -> Any:
    if not shutil.which("npm"):
        pytest.skip("npm is not installed; on Debian: sudo apt-get install -y npm")
    if not (PARSER / "node_modules").exists():
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(install, cwd=PARSER, check=True, capture_output=True)
    return parse(asyncapi.FILE)


def parse(file: Path) -> Any:
    command = ["node", str(PARSER / "check.js"), str(file)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def serious(parsed: Any) -> list[Any]:
    return [one for one in parsed["diagnostics"] if one["severity"] <= WARNING]


def test_the_file_is_what_models_topics_and_examples_make() -> None:
    assert asyncapi.FILE.read_text("utf-8") == asyncapi.text()
    assert yaml.safe_load(asyncapi.text()) == asyncapi.document()


@pytest.mark.needs_more
def test_the_parser_has_nothing_to_say_against_it(parsed: Any) -> None:
    assert serious(parsed) == []
    assert parsed["channels"] == [f"optout.{topic}" for topic in TOPICS]
    assert set(parsed["operations"]) == set(asyncapi.document()["operations"])


@pytest.mark.needs_more
@pytest.mark.usefixtures("parsed")
def test_the_parser_would_say_what_is_wrong(tmp_path: Path) -> None:
    document = asyncapi.document()
    document["operations"]["match-sends-reply-sends-v1"]["channel"]["$ref"] = "#/channels/none"
    file = tmp_path / "broken.yaml"
    file.write_text(yaml.safe_dump(document))
    said = {(one["code"], one["path"]) for one in serious(parse(file))}
    assert ("invalid-ref", "operations.match-sends-reply-sends-v1.channel.$ref") in said


def test_every_topic_has_its_message_its_examples_and_its_headers() -> None:
    messages = asyncapi.document()["components"]["messages"]
    assert set(messages) == set(TOPICS)
    assert {topic for topic, message in messages.items() if "payload" in message} == set(MODELS)
    assert {topic for topic, message in messages.items() if "headers" in message} == set(TYPES)
    count = sum(len(message.get("examples", ())) for message in messages.values())
    assert count == len(EXAMPLES)


def test_only_the_processor_is_bound_to_say_that_its_records_are_events() -> None:
    messages = asyncapi.document()["components"]["messages"]
    free = [topic for topic in TYPES if "required" not in messages[topic]["headers"]]
    assert free == ["message-statuses.v1"]


def test_the_parts_of_the_processor_send_and_receive_as_topics_toml_says() -> None:
    operations = asyncapi.document()["operations"]
    said = {
        (operation["tags"][0]["name"], operation["action"], operation["channel"]["$ref"][11:])
        for operation in operations.values()
    }
    assert said == {
        (party, action, topic)
        for topic, about in TOPICS.items()
        for action, name in (("send", "writers"), ("receive", "readers"))
        for party in about[name]
        if party in asyncapi.PROCESSOR
    }
