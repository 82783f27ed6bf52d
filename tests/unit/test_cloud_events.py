"""CloudEvents: the headers of emitted events keep the specification's rules."""

from __future__ import annotations

import json
import re
from datetime import datetime
from urllib.parse import urlsplit

import jsonschema
import pytest

from processor.config import Settings
from processor.core.events import (
    BlockChange,
    Event,
    OptOutNotification,
    ReplySend,
    SuspectedOptOut,
    WebhookDelivery,
)
from processor.core.identity import send_id
from processor.core.services import Webhook
from processor.wire import outbound_messages
from processor.wire.cloud_events import CloudEvents
from processor.wire.events import write_delivery
from processor.wire.headers import passed_on
from processor.wire.records import Headers
from schemas.cloud_events import TYPES, header_schema
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    NOW,
    NOW_MS,
    RECIPIENT,
    SEND,
    a_command,
    a_handling,
    commanded,
    decided,
    outbound_record,
    phrased,
    the_block,
)

SOURCE = "urn:optout:clinics"
TOPIC_OF = {
    OptOutNotification: "opt-out-notifications.v1",
    BlockChange: "block-changes.v1",
    ReplySend: "reply-sends.v1",
    SuspectedOptOut: "suspected-opt-outs.v1",
    WebhookDelivery: "webhook-deliveries.v1",
}


def emitted() -> list[Event]:
    told = a_handling(webhook=Webhook("https://example.com/inbound"))
    decisions = [
        decided("STOP", handling=told),
        decided("START", (the_block(),)),
        commanded(a_command()),
        phrased("stop please", message_sid="SM2"),
    ]
    return [event for decision in decisions for event in decision.events]


def headers(event: Event) -> dict[str, str]:
    return as_text(CloudEvents(SOURCE).of(event))


def as_text(given: Headers) -> dict[str, str]:
    found = {name: value.decode() for name, value in given if value is not None}
    assert len(found) == len(given), "a header appears twice"
    return found


def refusal() -> dict[str, str]:
    send = outbound_messages.read(json.dumps(outbound_record()).encode())
    return as_text(CloudEvents(SOURCE).of_refusal(send, NOW_MS))


@pytest.mark.parametrize("event", emitted(), ids=lambda event: type(event).__name__)
def test_an_events_headers_are_as_its_topic_says(event: Event) -> None:
    assert_described(TOPIC_OF[type(event)], headers(event))


def test_a_refusals_headers_are_as_its_topic_says() -> None:
    assert_described("message-statuses.v1", refusal())
    assert refusal() == {
        "ce_specversion": "1.0",
        "ce_type": "io.optout.send.refused.v1",
        "ce_source": SOURCE,
        "ce_id": send_id(ACCOUNT, SEND, LONG_CODE, RECIPIENT, "refused"),
        "ce_time": NOW,
        "content-type": "application/json",
    }


def assert_described(topic: str, given: dict[str, str]) -> None:
    schema = {**header_schema(topic), "additionalProperties": False}
    jsonschema.Draft202012Validator(schema).validate(given)
    assert datetime.fromisoformat(given["ce_time"]).utcoffset() is not None
    assert urlsplit(given["ce_source"]).scheme
    assert given["ce_id"]


def test_every_described_topic_is_one_that_is_emitted_to() -> None:
    assert {*TOPIC_OF.values(), "message-statuses.v1"} == set(TYPES)
    assert {type(event) for event in emitted()} == set(TOPIC_OF)


def test_no_two_things_that_happened_share_an_id() -> None:
    told = a_handling(webhook=Webhook("https://example.com/inbound"))
    ids = [headers(event)["ce_id"] for event in decided("STOP", handling=told).events]
    assert len(set(ids)) == len(ids) == 4


def test_a_replay_makes_the_same_headers() -> None:
    assert [headers(event) for event in emitted()] == [headers(event) for event in emitted()]


def test_a_block_and_its_end_are_told_apart_by_type() -> None:
    kinds = [headers(event)["ce_type"] for event in emitted() if isinstance(event, BlockChange)]
    assert kinds == [
        "io.optout.recipient.blocked.v1",
        "io.optout.recipient.unblocked.v1",
        *["io.optout.recipient.blocked.v1"] * 2,
    ]


def test_types_are_past_tense_reverse_dns_names_with_the_topics_version() -> None:
    for topic, kinds in TYPES.items():
        version = topic.rpartition(".")[2]
        for kind in kinds:
            assert re.fullmatch(rf"io\.optout\.[a-z]+\.[a-z]+ed\.{version}", kind)


def test_a_deliverys_id_is_the_one_in_its_value() -> None:
    [delivery] = [event for event in emitted() if isinstance(event, WebhookDelivery)]
    value = json.loads(write_delivery(delivery))
    assert headers(delivery)["ce_id"] == value["delivery_id"]


def test_what_made_the_send_an_event_is_not_passed_on_to_its_refusal() -> None:
    own = [("ce_id", b"1"), ("content-type", b"text/plain"), ("mark", b"1-1")]
    others = [("traceparent", b"00-1"), ("marketing", b"spring")]
    assert passed_on([*own, *others]) == others
    assert passed_on(own) is None


@pytest.mark.parametrize(
    ("prefix", "source"),
    [("optout.", "urn:optout:optout"), ("", "urn:optout:default"), ("eu_2-", "urn:optout:eu_2")],
)
def test_the_source_is_the_installation(prefix: str, source: str) -> None:
    assert Settings(topic_prefix=prefix).source() == source
    assert Settings(topic_prefix=prefix, event_source="https://a.example/x").source() == (
        "https://a.example/x"
    )
