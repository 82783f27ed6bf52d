"""A STOP in a record that is only partly readable."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from processor.core.messages import Arrival, ChannelGroup, UnreadStop
from processor.wire.inbound_messages import unread_stop_of
from schemas.common import MAX_BODY_CHARACTERS
from tests.builders import ACCOUNT, LONG_CODE, NOW_MS, RECIPIENT, inbound_record


def found_in(value: bytes | None) -> UnreadStop | None:
    record = SimpleNamespace(partition=3, offset=7, timestamp=NOW_MS, headers=(), value=value)
    return unread_stop_of(record)


STOP = UnreadStop(
    id="unread-3-7",
    account_sid=ACCOUNT,
    recipient=RECIPIENT,
    channel_group=ChannelGroup.SMS,
    sender=LONG_CODE,
    arrival=Arrival(NOW_MS),
)


def test_a_word_of_default_handling_stops_though_other_fields_cannot_be_read() -> None:
    assert found_in(orjson.dumps(inbound_record("Stop.", message_sid=7))) == STOP


def test_r33_a_recipient_that_is_spelled_loosely_is_blocked_by_its_key() -> None:
    found = found_in(
        orjson.dumps(inbound_record("STOP", from_="+52 1 55 5555 0101", message_sid=7))
    )
    assert found is not None
    assert found.recipient == "+525555550101"


@pytest.mark.parametrize("to", [None, 7, "not a sender"])
def test_a_sender_that_cannot_be_read_is_none(to: Any) -> None:
    found = found_in(orjson.dumps(inbound_record("STOP") | {"to": to}))
    assert found is not None
    assert (found.recipient, found.sender) == (RECIPIENT, None)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"[]",
        b" " * ((1 << 20) + 1),
        orjson.dumps(inbound_record("STOP", account_sid=7)),
        orjson.dumps(inbound_record("STOP", account_sid="a b")),
        orjson.dumps(inbound_record("STOP") | {"from": "nobody"}),
        orjson.dumps(inbound_record("STOP") | {"from": "50051234"}),
        orjson.dumps(inbound_record("STOP") | {"from": 7}),
        orjson.dumps(inbound_record("STOP" + " " * MAX_BODY_CHARACTERS)),
        orjson.dumps(inbound_record("hello")),
        orjson.dumps(inbound_record("START")),
    ],
)
def test_anything_else_is_no_stop(value: bytes | None) -> None:
    assert found_in(value) is None
