"""The breaks of a schema change are found before its release."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from processor.cli import main
from schemas import MODELS, released
from schemas.compatibility import breaks
from schemas.json_schema import schema_of

Change = Callable[[dict[str, Any]], object]

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["id", "kind", "blocks"],
    "properties": {
        "id": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 64},
        "kind": {"type": "string", "enum": ["STOP", "START"]},
        "note": {"anyOf": [{"type": "string", "maxLength": 10}, {"type": "null"}]},
        "count": {"type": "integer", "minimum": 0},
        "at": {"type": "string", "format": "date-time"},
        "blocks": {"type": "array", "items": {"$ref": "#/$defs/Block"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "named": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Inner"}},
        "either": {"oneOf": [{"$ref": "#/$defs/Inner"}, {"type": "string"}]},
    },
    "$defs": {
        "Inner": {"type": "object", "properties": {"size": {"type": "integer"}}},
        "Block": {
            "type": "object",
            "required": ["scope"],
            "properties": {"scope": {"type": "string"}, "inner": {"$ref": "#/$defs/Block"}},
        },
    },
}


def changed(change: Change) -> list[str]:
    made = copy.deepcopy(SCHEMA)
    change(made)
    return [str(each) for each in breaks(SCHEMA, made)]


def field(schema: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = schema["properties"][name]
    return found


def block(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["$defs"]["Block"]
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made["properties"].update(extra={"type": "string"}),
        lambda made: block(made)["properties"].update(extra={"type": "string"}),
        lambda made: field(made, "id").update(description="an id", title="Id"),
        lambda made: field(made, "kind").update(enum=["START", "STOP"]),
        lambda made: made["$defs"].update(Unused={"type": "object"}),
    ],
)
def test_a_new_optional_field_and_other_words_break_nobody(change: Change) -> None:
    assert changed(change) == []


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        (
            lambda made: made["required"].append("note"),
            ["note: breaks writers: required, and not always written"],
        ),
        (
            lambda made: (
                made["required"].append("new"),
                made["properties"].update(new={"type": "string"}),
            ),
            ["new: breaks writers: required, and not always written"],
        ),
        (
            lambda made: made["required"].remove("kind"),
            ["kind: breaks readers: required, and not always written"],
        ),
        (lambda made: made["properties"].pop("note"), ["note: breaks readers: field removed"]),
        (
            lambda made: (made["required"].remove("kind"), made["properties"].pop("kind")),
            [
                "kind: breaks readers: required, and not always written",
                "kind: breaks readers: field removed",
            ],
        ),
        (
            lambda made: field(made, "kind").update(enum=["STOP"]),
            ["kind: breaks writers: START is not read"],
        ),
        (
            lambda made: field(made, "kind").update(enum=["STOP", "START", "HELP"]),
            ["kind: breaks readers: HELP is not read"],
        ),
        (
            lambda made: field(made, "kind").pop("enum"),
            ["kind: breaks readers: only START, STOP is read"],
        ),
        (
            lambda made: field(made, "count").update(type="number"),
            ["count: breaks readers: type number is not integer"],
        ),
        (
            lambda made: field(made, "count").update(type="string"),
            [
                "count: breaks readers: type string is not integer",
                "count: breaks writers: type integer is not string",
            ],
        ),
        (
            lambda made: field(made, "count").pop("type"),
            ["count: breaks readers: any type is written, only integer is read"],
        ),
        (
            lambda made: field(made, "id").update(pattern="^[A-Z]+$"),
            ["id: breaks readers: pattern changed", "id: breaks writers: pattern changed"],
        ),
        (
            lambda made: field(made, "id").update(maxLength=32),
            ["id: breaks writers: maxLength 64 is written, 32 read"],
        ),
        (
            lambda made: field(made, "id").update(maxLength=128),
            ["id: breaks readers: maxLength 128 is written, 64 read"],
        ),
        (
            lambda made: field(made, "count").update(minimum=1),
            ["count: breaks writers: minimum 0 is written, 1 read"],
        ),
        (
            lambda made: field(made, "count").pop("minimum"),
            ["count: breaks readers: minimum open is written, 0 read"],
        ),
        (
            lambda made: made["properties"].update(note={"type": "string", "maxLength": 10}),
            ["note: breaks writers: null is not read"],
        ),
        (
            lambda made: field(made, "note").update(anyOf=[{"type": "string"}, {"type": "null"}]),
            ["note: breaks readers: maxLength open is written, 10 read"],
        ),
        (lambda made: field(made, "at").pop("format"), ["at: breaks readers: format changed"]),
        (
            lambda made: block(made)["required"].append("inner"),
            ["blocks.*.inner: breaks writers: required, and not always written"],
        ),
        (
            lambda made: block(made)["properties"].pop("inner"),
            ["blocks.*.inner: breaks readers: field removed"],
        ),
        (
            lambda made: made.update(additionalProperties=False),
            ["the record: breaks writers: additionalProperties is narrower"],
        ),
        (
            lambda made: field(made, "labels").update(additionalProperties={"type": "integer"}),
            [
                "labels.*: breaks readers: type integer is not string",
                "labels.*: breaks writers: type string is not integer",
            ],
        ),
        (
            lambda made: made["$defs"]["Inner"].update(required=["size"]),
            [
                "either.size: breaks writers: required, and not always written",
                "named.*.size: breaks writers: required, and not always written",
            ],
        ),
        (
            lambda made: field(made, "either")["oneOf"].append({"type": "boolean"}),
            ["either: breaks readers: boolean is not read"],
        ),
        (
            lambda made: field(made, "blocks").update(uniqueItems=True),
            ["blocks: breaks writers: uniqueItems changed"],
        ),
    ],
)
def test_what_others_would_stumble_over_is_named(change: Change, problems: list[str]) -> None:
    assert changed(change) == problems


def test_a_closed_schema_reads_no_new_field() -> None:
    closed = {"type": "object", "properties": {}, "additionalProperties": False}
    wider = {**closed, "properties": {"new": {"type": "string"}}}
    assert [str(each) for each in breaks(closed, wider)] == ["new: breaks readers: not read"]


@pytest.mark.parametrize("topic", MODELS)
def test_every_schema_can_meet_itself(topic: str) -> None:
    assert breaks(schema_of(topic), schema_of(topic)) == []


@pytest.mark.parametrize("topic", MODELS)
def test_a_lost_or_new_required_field_is_seen_in_every_schema(topic: str) -> None:
    made = schema_of(topic)
    name = made["required"][0]
    fewer = {**made, "required": made["required"][1:]}
    assert [(each.whom, each.place) for each in breaks(made, fewer)] == [("readers", name)]
    assert [(each.whom, each.place) for each in breaks(fewer, made)] == [("writers", name)]


# The released versions


def test_this_version_breaks_nothing_of_the_last_released_one() -> None:
    assert released.broken(released.latest()) == []


def test_the_last_version_is_the_highest_by_number(tmp_path: Path) -> None:
    for version in ("0.9.0", "0.10.0", "0.2.0"):
        (tmp_path / version).mkdir()
    assert released.latest(tmp_path).name == "0.10.0"


def test_a_kept_version_is_whole_and_does_not_change(tmp_path: Path) -> None:
    kept = released.keep("1.0.0", tmp_path)
    assert {path.name for path in kept.iterdir()} == {
        "topics.toml",
        "redis-entries.json",
        "redis-list.json",
        "redis-message.json",
        *(f"{topic}.json" for topic in MODELS),
    }
    assert released.broken(kept) == []
    with pytest.raises(FileExistsError):
        released.keep("1.0.0", tmp_path)


def test_what_this_version_breaks_is_named_by_topic(tmp_path: Path) -> None:
    kept = released.keep("1.0.0", tmp_path)
    file = kept / "reply-sends.v1.json"
    was = json.loads(file.read_text())
    was["properties"]["urgent"] = {"type": "boolean"}
    file.write_text(json.dumps(was))
    topics = kept / "topics.toml"
    topics.write_text(
        topics.read_text()
        .replace('["dead-letters.v1"]', '["gone.v1"]')
        .replace('sid"\npartitions = 1\n', 'sid"\npartitions = 2\n', 1)
    )
    assert released.broken(kept) == [
        "reply-sends.v1: urgent: breaks readers: field removed",
        "messaging-services.v1: breaks readers and writers: partitions 2 is now 1",
        "gone.v1: breaks readers and writers: the topic is gone",
    ]


def test_a_topic_that_one_role_writes_to_itself_may_go(tmp_path: Path) -> None:
    kept = released.keep("1.0.0", tmp_path)
    topics = kept / "topics.toml"
    topics.write_text(
        topics.read_text().replace('["webhook-retries-1.v1"]', '["webhook-notes.v1"]')
    )
    assert released.broken(kept) == []


def test_a_topics_next_version_takes_its_place(tmp_path: Path) -> None:
    assert "block-list.v1" in (released.FOLDER / "0.1.0" / "topics.toml").read_text()
    assert released.broken(released.FOLDER / "0.1.0") == []
    kept = released.keep("1.0.0", tmp_path)
    topics = kept / "topics.toml"
    topics.write_text(topics.read_text().replace('["block-list.v2"]', '["block-list.v3"]'))
    assert released.broken(kept) == ["block-list.v3: breaks readers and writers: the topic is gone"]


def test_the_command_says_what_breaks_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CliRunner().invoke(main, ["schemas", "check"]).exit_code == 0
    kept = released.keep("1.0.0", tmp_path)
    file = kept / "block-list.v2.json"
    file.write_text(file.read_text().replace('"boolean"', '"string"'))
    monkeypatch.setattr(released, "latest", lambda: kept)
    result = CliRunner().invoke(main, ["schemas", "check"])
    assert result.exit_code == 1
    assert (
        "block-list.v2: blocks.*.carrier: breaks writers: type string is not boolean "
        "(released in 1.0.0; make it optional, or add a new version of the topic)"
    ) in result.output


def test_the_command_keeps_no_version_twice_and_none_without_a_number() -> None:
    again = CliRunner().invoke(main, ["schemas", "release", released.latest().name])
    assert (again.exit_code, "so its contract cannot change" in again.output) == (1, True)
    odd = CliRunner().invoke(main, ["schemas", "release", "next"])
    assert (odd.exit_code, "three numbers" in odd.output) == (2, True)
