"""Models, JSON Schema files, examples, topics.toml and the writers say the same."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from processor.core.events import BlockChange, Event, OptOutNotification, ReplySend, SuspectedOptOut
from processor.core.messages import Scope, SenderType
from processor.core.services import Webhook
from processor.wire import consent_commands, outbound_messages
from processor.wire.blocks import write_entry
from processor.wire.events import (
    write_block_change,
    write_delivery,
    write_notification,
    write_reply,
    write_suspected,
)
from processor.wire.json_values import reason
from processor.wire.message_statuses import write_failed, write_refusal, write_taken
from processor.wire.services import read_stored, write_stored
from processor.wire.topics import Topics
from schemas import MODELS
from schemas.json_schema import DIALECT, differences, export
from tests.builders import (
    ACCOUNT,
    NOW_MS,
    TOLL_FREE,
    WHATSAPP_RECIPIENT,
    WHATSAPP_SENDER,
    a_command,
    a_handling,
    a_place,
    commanded,
    decided,
    default_handling,
    outbound_record,
    phrased,
    service_record,
    the_block,
)
from tests.schema_files import EXAMPLES, FOLDER, TOPICS

SCHEMAS: dict[str, Any] = {
    topic: json.loads((FOLDER / "json" / f"{topic}.json").read_text("utf-8")) for topic in MODELS
}


def read(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return record


def assert_valid(topic: str, value: bytes) -> None:
    jsonschema.Draft202012Validator(SCHEMAS[topic]).validate(json.loads(value))
    MODELS[topic].model_validate_json(value)


# Models and JSON Schema files


def test_the_files_are_what_the_models_make() -> None:
    assert differences(FOLDER / "json") == []


def test_export_writes_a_file_a_topic(tmp_path: Path) -> None:
    written = export(tmp_path / "made")
    assert [path.name for path in written] == [f"{topic}.json" for topic in sorted(MODELS)]
    assert differences(tmp_path / "made") == []


def test_differences_name_what_is_missing_changed_or_unknown(tmp_path: Path) -> None:
    lost, edited, *_ = export(tmp_path)
    lost.unlink()
    edited.write_text("{}\n")
    (tmp_path / "gossip.v1.json").write_text("{}\n")
    assert differences(tmp_path) == [
        f"{lost.name}: missing",
        f"{edited.name}: differs",
        "gossip.v1.json: no topic has this name",
    ]


@pytest.mark.parametrize("topic", MODELS)
def test_a_file_names_its_dialect_its_topic_and_its_record(topic: str) -> None:
    schema = SCHEMAS[topic]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert (schema["$schema"], schema["$id"], schema["title"]) == (
        DIALECT,
        f"urn:optout:{topic}",
        MODELS[topic].__name__,
    )


# Topics


def test_every_topic_has_a_model_but_dead_letters() -> None:
    assert set(TOPICS) == {*MODELS, "dead-letters.v1"}


def test_every_directory_of_examples_is_a_topic_with_a_model_and_every_one_has_examples() -> None:
    assert {path.parent.name for path in EXAMPLES} == set(MODELS)
    folders = {path.name for path in (FOLDER / "examples").iterdir() if path.is_dir()}
    assert folders == set(MODELS)


def test_the_topics_of_the_lanes_are_topics() -> None:
    topics = Topics.under("")
    assert {getattr(topics, name) for name in topics.__slots__} <= set(TOPICS)


def test_a_topic_says_who_writes_and_reads_it_and_how_long_it_keeps() -> None:
    for topic, about in TOPICS.items():
        assert {"key", "partitions", "writers", "readers"} <= set(about), topic
        assert ("retention_days" in about) is (about.get("cleanup") != "compact"), topic


# Examples


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_example_is_valid_by_file_and_by_model(path: Path) -> None:
    assert_valid(path.parent.name, path.read_bytes())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_example_states_no_field_that_the_model_does_not_know(path: Path) -> None:
    MODELS[path.parent.name].model_validate_json(path.read_bytes(), extra="forbid")


# The writers' records


def emitted() -> list[Event]:
    toll_free = a_handling(sender_type=SenderType.TOLL_FREE)
    stopped = decided("stop", handling=toll_free, sender=TOLL_FREE)
    decisions = [
        *(decided("“Stop!”", scope=scope) for scope in Scope),
        *(decided(word, (the_block(),)) for word in ("START", "HELP", "STOP")),
        decided("alto", country="MX", from_country="MX"),
        decided("STOP", handling=default_handling(), from_country=None),
        decided("HELP", recipient=WHATSAPP_RECIPIENT, sender=WHATSAPP_SENDER),
        decided("STOP", handling=a_handling(webhook=Webhook("https://example.com/inbound"))),
        stopped,
        decided("yes", stopped.blocks, handling=toll_free, sender=TOLL_FREE),
        phrased(),
        commanded(a_command()),
        commanded(a_command(blocked=False, reason=None), (the_block(),)),
    ]
    return [event for decision in decisions for event in decision.events]


def test_every_event_is_written_as_its_topic_says() -> None:
    for event in emitted():
        if isinstance(event, BlockChange):
            assert_valid("block-changes.v1", write_block_change(event))
        elif isinstance(event, ReplySend):
            assert_valid("reply-sends.v1", write_reply(event))
        elif isinstance(event, OptOutNotification):
            assert_valid("opt-out-notifications.v1", write_notification(event))
        elif isinstance(event, SuspectedOptOut):
            assert_valid("suspected-opt-outs.v1", write_suspected(event))
        else:
            assert_valid("webhook-deliveries.v1", write_delivery(event))
    assert {type(event).__name__ for event in emitted()} == {
        "BlockChange",
        "ReplySend",
        "OptOutNotification",
        "SuspectedOptOut",
        "WebhookDelivery",
    }


@pytest.mark.parametrize("scope", Scope)
def test_an_entry_and_a_refusal_are_written_as_their_topics_say(scope: Scope) -> None:
    block = the_block(a_place(scope))
    entry = write_entry(f"{ACCOUNT}/{WHATSAPP_RECIPIENT}", (block,))
    assert entry is not None
    assert_valid("block-list.v2", entry)
    fields = outbound_messages.read(json.dumps(outbound_record(from_=None)).encode())
    assert_valid("message-statuses.v1", write_refusal(fields, block, NOW_MS))


def test_what_became_of_a_carriers_send_is_written_as_its_topic_says() -> None:
    send = outbound_messages.read(json.dumps(outbound_record()).encode())
    taken = write_taken(send, NOW_MS)
    failed = write_failed(send, 30005, "Unknown destination handset", NOW_MS)
    for status, said in (("sent", taken), ("failed", failed)):
        assert_valid("message-statuses.v1", said)
        assert json.loads(said)["status"] == status
    assert json.loads(taken)["error_code"] is None
    assert json.loads(failed)["error_message"] == "Unknown destination handset"


def test_a_command_and_a_service_are_written_as_their_topics_say() -> None:
    assert_valid("consent-commands.v1", consent_commands.write(a_command()))
    stored = read_stored(json.dumps(service_record()).encode())
    assert_valid("messaging-services.v1", write_stored(stored))


# Records that break the contract

WRONG = "entirely wrong +15557654321"
FIRST = {path.parent.name: path for path in reversed(EXAMPLES)}
REQUIRED = [
    (topic, info.alias or name)
    for topic, model in MODELS.items()
    for name, info in model.model_fields.items()
    if info.is_required()
]


def refused(topic: str, record: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        MODELS[topic].model_validate_json(json.dumps(record))
    said = reason(caught.value)
    assert WRONG not in said
    assert WRONG not in str(caught.value)
    return said


def refused_by_the_file(topic: str, record: dict[str, Any]) -> bool:
    return not jsonschema.Draft202012Validator(SCHEMAS[topic]).is_valid(record)


@pytest.mark.parametrize(("topic", "field"), REQUIRED)
def test_a_record_without_a_field_is_refused(topic: str, field: str) -> None:
    record = read(FIRST[topic])
    del record[field]
    assert refused(topic, record) == f"{field}: missing"
    assert refused_by_the_file(topic, record)


@pytest.mark.parametrize(("topic", "field"), REQUIRED)
@pytest.mark.parametrize("value", [None, {"deep": [WRONG]}, [[WRONG]]])
def test_a_record_with_a_field_of_another_type_is_refused(
    topic: str, field: str, value: object
) -> None:
    record = read(FIRST[topic])
    record[field] = value
    assert refused(topic, record).startswith(f"{field}")
    assert refused_by_the_file(topic, record)


@pytest.mark.parametrize(
    ("topic", "field"),
    [
        ("inbound-messages.v1", "from"),
        ("inbound-messages.v1", "to"),
        ("outbound-messages.v1", "from"),
        ("outbound-messages.v1", "to"),
        ("allowed-sends.v1", "to"),
        ("consent-commands.v1", "recipient"),
        ("reply-sends.v1", "from"),
        ("reply-sends.v1", "to"),
        ("block-changes.v1", "recipient"),
        ("block-list.v2", "recipient"),
        ("opt-out-notifications.v1", "from"),
        ("message-statuses.v1", "to"),
        ("webhook-deliveries.v1", "url"),
    ],
)
def test_a_bad_address_is_refused_and_not_repeated(topic: str, field: str) -> None:
    record = {**read(FIRST[topic]), field: WRONG}
    assert refused(topic, record).startswith(f"{field}: is not ")
    assert refused_by_the_file(topic, record)


@pytest.mark.parametrize(
    "topic", ["inbound-messages.v1", "outbound-messages.v1", "allowed-sends.v1", "reply-sends.v1"]
)
def test_a_body_of_100_kb_is_refused_and_not_repeated(topic: str) -> None:
    record = {**read(FIRST[topic]), "body": WRONG * 4000}
    assert refused(topic, record) == "body: String should have at most 4096 characters"
    assert refused_by_the_file(topic, record)


@pytest.mark.parametrize("topic", MODELS)
def test_another_version_is_refused(topic: str) -> None:
    ours = int(topic.rpartition(".v")[2])
    record = {**read(FIRST[topic]), "schema_version": ours + 1}
    says = f"schema_version: unknown version; this topic is version {ours}"
    assert refused(topic, record) == says
    assert refused_by_the_file(topic, record)


def test_a_part_of_a_record_is_refused_by_its_place() -> None:
    record = copy.deepcopy(read(FIRST["block-list.v2"]))
    record["blocks"][0]["mark"] = WRONG
    assert refused("block-list.v2", record) == (
        "blocks.0.mark: is not a mark: two numbers with - between"
    )


@pytest.mark.parametrize("topic", MODELS)
def test_an_unknown_field_is_ignored(topic: str) -> None:
    record = read(FIRST[topic])
    wider = MODELS[topic].model_validate_json(json.dumps({**record, "since_version_9": WRONG}))
    assert wider == MODELS[topic].model_validate_json(json.dumps(record))
    assert not refused_by_the_file(topic, {**record, "since_version_9": WRONG})
