"""R33: an inbound message is read loosely where nothing is lost by it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from processor.core.services import Directory
from processor.stages.items import hit_of
from processor.wire import inbound_messages
from processor.wire.json_values import UNREADABLE
from tests.builders import LONG_CODE, RECIPIENT, inbound_record


def read(**changes: Any) -> Any:
    return inbound_messages.read(json.dumps(inbound_record(**changes)).encode())


@pytest.mark.parametrize(
    ("changes", "came"),
    [
        ({"from_": "12125550177"}, {"from_": "+12125550177"}),
        ({"from_": " +1 (555) 765-4321 "}, {"from_": RECIPIENT}),
        ({"to": LONG_CODE.replace("+1", "+1 ")}, {"to": LONG_CODE}),
        ({"from_country": ""}, {"from_country": None}),
        ({"from_country": "us"}, {"from_country": "US"}),
        ({"from_country": "zz top"}, {"from_country": None}),
        ({"from_country": 5}, {"from_country": None}),
        ({"body": None}, {"body": ""}),
        ({"num_media": "one"}, {"num_media": 0}),
        ({"num_media": -1}, {"num_media": 0}),
        ({"messaging_service_sid": ""}, {"messaging_service_sid": None}),
        ({"from_": "7726", "to": "+1 555 123 4567"}, {"from_": "7726", "to": "+15551234567"}),
        ({"from_": "AMAZON"}, {"from_": "AMAZON"}),
    ],
)
def test_r33_a_message_is_read_loosely(changes: dict[str, Any], came: dict[str, Any]) -> None:
    found = read(**changes)
    assert {name: getattr(found, name) for name in came} == came
    usual = read()
    same = {"message_sid", "account_sid", "received_at"}
    assert {getattr(found, name) for name in same} == {getattr(usual, name) for name in same}


def test_r33_a_body_that_is_null_is_empty() -> None:
    value = json.dumps(inbound_record() | {"body": None, "from_country": None}).encode()
    assert inbound_messages.read(value).body == ""


def test_r33_messages_that_are_read_loosely_stay_in_their_order_among_others() -> None:
    records = [inbound_record(message_sid=f"SM{one}") for one in range(4)]
    records[1]["from_country"], records[3]["from"] = "", "12125550177"
    found = inbound_messages.read_all([json.dumps(one).encode() for one in records])
    assert [one.message_sid for one in found] == ["SM0", "SM1", "SM2", "SM3"]
    assert [one.from_ for one in found] == [RECIPIENT, RECIPIENT, RECIPIENT, "+12125550177"]


@pytest.mark.parametrize("origin", ["7726", "AMAZON"])
def test_r33_a_message_from_a_short_code_or_a_name_matches_nothing(origin: str) -> None:
    assert hit_of(read(body="STOP"), Directory())
    assert hit_of(read(body="STOP", from_=origin), Directory()) is None


@pytest.mark.parametrize("value", [b"[]", b"{", b'"from"', b"5", b"\xff"])
def test_a_value_that_is_no_message_is_refused(value: bytes) -> None:
    with pytest.raises(UNREADABLE):
        inbound_messages.read(value)
