"""Why a record is refused: each reason names the field, and never the value."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from processor.errors import RecordError
from processor.wire import consent_commands, dead_letters, inbound_messages, outbound_messages
from processor.wire.json_values import MAX_VALUE_BYTES, UNREADABLE, refuse_size, why_unreadable
from processor.wire.records import Headers
from tests.builders import command_record, inbound_record, outbound_record


def refused(read: Callable[[bytes], object], value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(UNREADABLE) as caught:
        read(raw)
    return why_unreadable(caught.value)


AN_ADDRESS = (
    "is not an address: an E.164 number such as +15551234567, with whatsapp: or rcs: before it on "
    "those channels, or a user id such as whatsapp:US.13491208655302741918"
)
A_SENDER = (
    "is not a sender: an E.164 number, a short code of 3 to 8 digits, rcs: and an agent, or a name "
    "of up to 11 characters"
)
NO_COUNTRY = "has no country: write + and the country's code before it, or name the country"
AN_ID = "is not an id: 1 to 64 letters, digits and _ . : -"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"from_": None, "to": None}, "from: missing; to: missing"),
        ({"from_": "5557654321"}, f"from: {NO_COUNTRY}"),
        ({"from_": "5557654321", "message_sid": ""}, f"from: {NO_COUNTRY}; message_sid: {AN_ID}"),
        ({"from_": "+05557654321"}, f"from: {AN_ADDRESS}"),
        ({"from_": "+15557654321\n+15557654321"}, f"from: {AN_ADDRESS}"),
        ({"from_": "whatsapp:whatsapp:+15557654321"}, f"from: {AN_ADDRESS}"),
        ({"from_": "12"}, f"from: {AN_ADDRESS}"),
        ({"to": "12"}, f"to: {A_SENDER}"),
        ({"to": "123456789"}, f"to: {NO_COUNTRY}"),
        ({"to": "TwelveLetter"}, f"to: {A_SENDER}"),
        ({"to": "1 2 3 4 5 6 Z"}, f"to: {A_SENDER}"),
        ({"to": ""}, f"to: {A_SENDER}"),
        ({"message_sid": "SM 1"}, f"message_sid: {AN_ID}"),
        ({"body": 5}, "body: Input should be a valid string"),
        ({"body": "x" * 4097}, "body: String should have at most 4096 characters"),
        ({"received_at": "2026-11-02T12:00:00"}, "received_at: Input should have timezone info"),
        ({"received_at": 1793620800}, "received_at: Input should be a valid datetime"),
        (
            {"received_at": "0001-01-01T00:00:00+14:00"},
            "received_at: Input should be greater than or equal to 1970-01-01T00:00:00Z",
        ),
        (
            {"received_at": "9999-12-31T23:59:59.9999-10:00"},
            "received_at: Input should be less than 9999-01-01T00:00:00Z",
        ),
        (
            {"schema_version": 2},
            "schema_version: unknown version; this topic is version 1",
        ),
        (
            {"schema_version": 1 << 63},
            "schema_version: Unable to parse input string as an integer, exceeded maximum size",
        ),
    ],
)
def test_an_inbound_record_is_refused_field_by_field(changes: dict[str, Any], why: str) -> None:
    assert refused(inbound_messages.read, inbound_record(**changes)) == why


@pytest.mark.parametrize("to", ["123", "12345678", "+15551234567", "whatsapp:+15551234567"])
def test_a_sender_is_a_number_or_a_short_code(to: str) -> None:
    assert inbound_messages.read(json.dumps(inbound_record(to=to)).encode()).to == to


@pytest.mark.parametrize(
    "to", ["rcs:clinic_agent", "A", "1 2 3 4 5 Z", "Z2345678901", "12345A78901", "4-You & Co"]
)
def test_a_sender_is_an_agent_or_a_name_of_up_to_11_characters(to: str) -> None:
    assert inbound_messages.read(json.dumps(inbound_record(to=to)).encode()).to == to


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"to": "12345"}, f"to: {AN_ADDRESS}"),
        ({"from_": "12"}, f"from: {A_SENDER}"),
        (
            {"media_urls": ["ftp://example.com/x"]},
            "media_urls.0: is not an http or https address",
        ),
        ({"created_at": None}, "created_at: missing"),
    ],
)
def test_an_outbound_record_is_refused_field_by_field(changes: dict[str, Any], why: str) -> None:
    assert refused(outbound_messages.read, outbound_record(**changes)) == why


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"recipient": "whatsapp:+15557654321"}, "recipient: is not an E.164 number such as"),
        ({"scope": "service"}, "scope service needs messaging_service_sid"),
        ({"scope": "sender"}, "scope sender needs sender"),
        ({"scope": "galaxy"}, "scope: Input should be 'account', 'service' or 'sender'"),
        ({"blocked": "yes"}, "blocked: Input should be a valid boolean"),
        ({"source": ""}, "source: String should have at least 1 character"),
    ],
)
def test_a_command_is_refused_field_by_field(changes: dict[str, Any], why: str) -> None:
    assert refused(consent_commands.read, command_record(**changes)).startswith(why)


def test_two_texts_in_one_field_are_not_read_as_two_records_fields() -> None:
    good = json.dumps(inbound_record()).encode()
    inbound_messages.read(good)
    for name in ("from_", "message_sid"):
        two = inbound_record()[name.rstrip("_")] + "\n" + inbound_record()[name.rstrip("_")]
        wrong = json.dumps(inbound_record(**{name: two})).encode()
        with pytest.raises(UNREADABLE):
            inbound_messages.read_all([good, wrong])


READERS = [inbound_messages.read, outbound_messages.read, consent_commands.read]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"STOP",
        b'{"body": "\xff"}',
        b'{"body": "\\ud83d"}',
        b'{"a":' * 10_000,
    ],
)
def test_what_is_no_json_is_refused(read: Callable[[bytes], object], value: bytes) -> None:
    assert refused(read, value).startswith("not JSON: ")


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("value", [b"null", b"[]", b'"STOP"', b"21610"])
def test_what_is_no_json_object_is_refused(read: Callable[[bytes], object], value: bytes) -> None:
    assert refused(read, value) == "not a JSON object"


def test_a_tombstone_and_a_value_too_large_to_pass_on_are_refused() -> None:
    refuse_size(b"x" * MAX_VALUE_BYTES)
    with pytest.raises(RecordError, match="no value"):
        refuse_size(None)
    with pytest.raises(RecordError, match=f"{MAX_VALUE_BYTES + 1} bytes; at most"):
        refuse_size(b"x" * (MAX_VALUE_BYTES + 1))


GIVEN = [("traceparent", b"00-1"), ("source", b"carrier")]


def a_dead_letter(given: Headers, why: str) -> Headers:
    return dead_letters.headers(
        given, topic="inbound", partition=3, offset=99, stage="match_inbound", reason=why
    )


def test_a_dead_letter_keeps_the_records_headers_and_adds_connects() -> None:
    assert a_dead_letter(GIVEN, "body: missing") == [
        *GIVEN,
        ("__connect.errors.topic", b"inbound"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"99"),
        ("__connect.errors.connector.name", b"optout"),
        ("__connect.errors.stage", b"match_inbound"),
        ("__connect.errors.class.name", b"processor.stages.match_inbound"),
        ("__connect.errors.exception.class.name", b"processor.errors.RecordError"),
        ("__connect.errors.exception.message", b"body: missing"),
    ]


def test_a_dead_letter_says_why_it_died_last() -> None:
    twice = a_dead_letter(a_dead_letter(GIVEN, "first"), "then")
    assert dead_letters.said(twice, "exception.message") == "then"
    assert dead_letters.said(GIVEN, "exception.message") is None


def test_a_record_is_sent_back_with_its_own_headers() -> None:
    assert dead_letters.own_headers(a_dead_letter(GIVEN, "why")) == GIVEN
