"""Encoding and decoding are inverse, and the fast readers accept and refuse like the models."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import phonenumbers
import pytest
from aiokafka.partitioner import murmur2
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from processor.core.blocks import Blocks, Mark
from processor.core.partitions import partitions_of
from processor.wire import inbound_messages, outbound_messages
from processor.wire.blocks import pack, read_entry, unpack, write_entry
from processor.wire.countries import country_of
from processor.wire.json_values import UNREADABLE, is_address, is_sender, reason, to_ms, to_text
from schemas.inbound_message import InboundMessage
from schemas.outbound_message import OutboundMessage
from tests.builders import inbound_record, outbound_record
from tests.strategies import block_lists, broken, entry_keys, marks, mutated

Read = Callable[[bytes], Any]


def among_others(read_all: Callable[[Sequence[bytes]], Sequence[Any]], record: Any) -> Read:
    """Reads a value among valid values."""
    good = json.dumps({**record, "media_urls": None}).encode()
    return lambda value: read_all([good, value, good])[1]


READERS = pytest.mark.parametrize(
    ("read", "model", "record"),
    [
        (inbound_messages.STRICT.read, InboundMessage, inbound_record()),
        (outbound_messages.read, OutboundMessage, outbound_record()),
        (
            among_others(inbound_messages.STRICT.read_all, inbound_record()),
            InboundMessage,
            inbound_record(),
        ),
        (
            among_others(outbound_messages.read_all, outbound_record()),
            OutboundMessage,
            outbound_record(),
        ),
    ],
    ids=["inbound", "outbound", "inbound among others", "outbound among others"],
)


def held(model: type[BaseModel], read: Read, value: bytes) -> dict[str, Any] | str:
    """The value that a reader finds, by the model's names, or its reason to refuse it."""
    try:
        found = read(value)
    except ValidationError as error:
        return reason(error)
    return {name: getattr(found, name) for name in model.model_fields}


@READERS
@given(data=st.data())
def test_a_reader_accepts_and_refuses_what_the_model_does(
    read: Read, model: type[BaseModel], record: dict[str, Any], data: st.DataObject
) -> None:
    read(json.dumps(record).encode())  # from now on it reads similar records the fast way
    value = json.dumps(data.draw(mutated(record))).encode()
    assert held(model, read, value) == held(model, model.model_validate_json, value)


@READERS
@given(data=st.data())
def test_a_reader_breaks_as_the_model_does(
    read: Read, model: type[BaseModel], record: dict[str, Any], data: st.DataObject
) -> None:
    read(json.dumps(record).encode())
    value = data.draw(broken(json.dumps(record).encode()))
    assert held(model, read, value) == held(model, model.model_validate_json, value)


@given(data=st.data())
def test_r33_an_inbound_message_that_its_schema_takes_is_read_as_the_schema_says(
    data: st.DataObject,
) -> None:
    value = json.dumps(data.draw(mutated(inbound_record()))).encode()
    strictly = held(InboundMessage, InboundMessage.model_validate_json, value)
    try:
        loosely = inbound_messages.read(value)
    except UNREADABLE:
        assert isinstance(strictly, str)
        return
    if isinstance(strictly, dict):
        assert {name: getattr(loosely, name) for name in strictly} == strictly
    # It came to a message by the schema, or to a message from a short code or a name.
    assert is_sender(loosely.from_) or is_address(loosely.from_)


@READERS
def test_the_quick_way_is_taken(read: Read, model: type[BaseModel], record: dict[str, Any]) -> None:
    value = json.dumps({**record, "media_urls": None}).encode()
    read(value)
    assert not isinstance(read(value), model)


@given(data=st.data())
def test_what_is_accepted_can_be_written_again(data: st.DataObject) -> None:
    """Times are within the range of UTC, whatever their zone."""
    value = json.dumps(data.draw(mutated(inbound_record()))).encode()
    try:
        message = inbound_messages.message_of(inbound_messages.read(value))
    except ValidationError:
        return
    assert to_text(message.received_at_ms).endswith("Z")


@given(block_lists)
def test_blocks_are_unpacked_as_they_were_packed(blocks: Blocks) -> None:
    assert unpack(pack(blocks)) == blocks


@given(entry_keys, block_lists)
def test_entries_are_read_as_they_were_written(key: str, blocks: Blocks) -> None:
    value = write_entry(key, blocks)
    assert (read_entry(value) if value else ()) == blocks


@given(marks)
def test_marks_are_parsed_as_they_were_written(mark: Mark) -> None:
    assert Mark.parse(str(mark)) == mark


@example(datetime(2243, 1, 1, 0, 0, 0, 501, tzinfo=UTC))
@given(st.datetimes(timezones=st.timezones()).filter(lambda time: 1970 < time.year < 9998))
def test_times_keep_their_millisecond(time: datetime) -> None:
    at_ms = to_ms(time)
    value = json.dumps(inbound_record(received_at=to_text(at_ms))).encode()
    assert to_ms(inbound_messages.read(value).received_at) == at_ms


@given(st.lists(st.binary(max_size=40) | st.from_regex(rb"\A\+[0-9]{7,15}\Z")), st.integers(1, 999))
@example([b""], 12)
def test_partitions_are_kafkas(keys: list[bytes], partitions: int) -> None:
    assert partitions_of(keys, partitions) == [
        (murmur2(key) & 0x7FFFFFFF) % partitions for key in keys
    ]


_SHARED = [  # calling codes of several countries; +1 needs area codes
    code
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
    if regions[1:] and code != 1
]
_EXAMPLES = [
    phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)
    for code in _SHARED
    for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]
    for kind in phonenumbers.PhoneNumberType.values()
    if (found := phonenumbers.example_number_for_type(region, kind))
]


@given(
    st.one_of(
        st.builds(
            lambda number, kept, rest: (number[:kept] + rest)[:16],
            st.sampled_from(_EXAMPLES),
            st.integers(6, 12),
            st.text("0123456789", min_size=2, max_size=8),
        ),
        st.builds(
            lambda code, rest: f"+{code}{rest}",
            st.sampled_from(_SHARED),
            st.text("0123456789", min_size=6, max_size=11),
        ),
    )
)
def test_r15_the_country_is_the_plans_whatever_is_left_out_to_find_it(number: str) -> None:
    parsed = phonenumbers.parse(number)
    first = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    assert country_of(number) == (phonenumbers.region_code_for_number(parsed) or first)
