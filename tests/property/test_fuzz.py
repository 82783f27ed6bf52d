"""A reader accepts a record, or refuses it with a reason; it raises nothing else.

`make fuzz` searches longer; see conftest.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from processor.audit import output_records as outputs
from processor.audit import source_records as sources
from processor.audit.parsing import read
from processor.audit.values import Unreadable
from processor.configuration.documents import read_document
from processor.core.normalise import exact, tolerant
from processor.kafka.topics.dead_letters import letter_of, sent_back
from processor.wire import consent_commands, dead_letters, inbound_messages, outbound_messages
from processor.wire.json_values import reason
from processor.wire.services import read_service, read_stored, service_of
from tests.builders import command_record, inbound_record, outbound_record
from tests.strategies import anything, broken, json_values, mutated

RECORDS: dict[str, tuple[Callable[[bytes], Any], dict[str, Any]]] = {
    "inbound": (inbound_messages.read, inbound_record()),
    "outbound": (outbound_messages.read, outbound_record()),
    "command": (consent_commands.read, command_record()),
}
SERVICE: dict[str, Any] = {
    "sid": "MG1",
    "account_sid": "AC1",
    "friendly_name": "Clinic",
    "senders": [{"address": "+15551234567"}],
    "opt_out": {"enabled": True, "standard": {"STOP": {"keywords": ["stop"], "reply": "Out."}}},
    "active": {"enabled": True, "standard": {"STOP": {"keywords": ["stop"], "reply": "Out."}}},
    "version": 1,
    "updated_at": "2026-11-02T12:00:00.000Z",
}
# Values that no JSON library writes, in place of a field's value.
RAW = [
    b"NaN",
    b"1e999",
    b"-0",
    b"9" * 5_000,
    b"1" + b"0" * 400 + b".5",
    b'"\\ud800"',
    b'"\\u0000"',
    b'"\xed\xa0\x80"',
    b'"\xff"',
    b"[" * 5_000,
    b"[" * 100 + b"]" * 100,
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b'{"a":1,"a":2}',
    b'"' + b"x" * 100_000 + b'"',
    b'"' + "\U0001f600".encode() * 2_000 + b'"',
    b"[" + b"1," * 10_000 + b"1]",
    b"",
]


@st.composite
def raw_records(draw: st.DrawFn, record: dict[str, Any]) -> bytes:
    """A record as bytes: mutated, with a repeated field, with an invalid value, or damaged."""
    value = json.dumps(draw(mutated(record))).encode()
    if draw(st.booleans()):
        name = draw(st.sampled_from([*record, "surplus"])).encode()
        raw = draw(st.sampled_from(RAW))
        value = b'{"%b":%b,%b' % (name, raw, value[1:])
    return draw(broken(value)) if draw(st.booleans()) else value


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
def test_a_reader_takes_a_value_or_refuses_it_in_words(name: str, data: st.DataObject) -> None:
    read, record = RECORDS[name]
    read(json.dumps(record).encode())
    value = data.draw(raw_records(record) | st.binary(max_size=200))
    try:
        read(value)
    except ValidationError as error:
        said = reason(error).encode()  # goes into a header
        assert 0 < len(said) < 10_000


@given(raw_records(SERVICE))
@example(b'{"sid":%b,%b' % (RAW[3], json.dumps(SERVICE).encode()[1:]))
def test_a_service_that_is_good_as_a_whole_is_the_same_in_parts(value: bytes) -> None:
    """In parts, the earlier value of a repeated field is skipped, even if it is not valid JSON."""
    try:
        whole = service_of(read_stored(value))
    except ValidationError:
        with contextlib.suppress(ValidationError):
            read_service(value)
    else:
        assert read_service(value) == whole


@given(
    st.recursive(
        json_values, lambda inner: st.dictionaries(st.sampled_from(sorted(SERVICE)), inner)
    )
)
def test_a_document_is_taken_or_its_problems_are_named(given: Any) -> None:
    document, problems = read_document(given)
    assert (document is None) is bool(problems)


headers = st.lists(
    st.tuples(
        st.text(max_size=8)
        | st.sampled_from(
            [dead_letters.CYCLES, *(dead_letters.PREFIX + name for name in ("topic", "offset"))]
        ),
        st.none() | st.binary(max_size=8),
    ),
    max_size=5,
)


@given(headers, st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=60))
@example([(dead_letters.CYCLES, b"many")], b"\xff", None)
@example([("a", b"1"), ("a", b"2")], None, b"")
def test_a_letter_goes_back_as_the_record_came(
    given: Any, key: bytes | None, value: bytes | None
) -> None:
    own = [(name, text) for name, text in given if not name.startswith(dead_letters.PREFIX)]
    put_aside = dead_letters.headers(
        given, topic="inbound", partition=3, offset=7, stage="match_inbound", reason="why"
    )
    letter = SimpleNamespace(
        partition=0, offset=1, timestamp=0, key=key, value=value, headers=put_aside
    )
    line = orjson.loads(orjson.dumps(letter_of(letter)))  # people handle it as text
    back = sent_back(line)
    assert (back.topic, back.value) == ("inbound", value)
    assert back.key == key
    *first, (name, cycles) = back.headers
    assert first == [one for one in own if one[0] != dead_letters.CYCLES]
    assert name == dead_letters.CYCLES
    assert int(cycles or b"") >= 1


PARSERS = (
    *(
        partial(read, parse)
        for parse in (
            sources.message,
            sources.command,
            sources.send,
            outputs.notification,
            outputs.reply,
            outputs.delivery,
            outputs.change,
        )
    ),
    outputs.entry,
    outputs.allowed,
    outputs.failed,
    sources.letter,
    sources.sent_on_of,
)


@given(
    st.sampled_from(PARSERS),
    st.none()
    | st.binary(max_size=30)
    | st.sampled_from(list(RECORDS)).flatmap(lambda name: raw_records(RECORDS[name][1])),
    headers,
    st.none() | st.binary(max_size=10),
)
def test_an_audit_reads_a_record_or_refuses_it_by_its_one_error(
    parse: Callable[[Any], object], value: bytes | None, given: Any, key: bytes | None
) -> None:
    record = SimpleNamespace(offset=0, timestamp=0, key=key, value=value, headers=given)
    with contextlib.suppress(Unreadable):
        parse(record)


@given(anything)
def test_any_text_has_its_forms(text: str) -> None:
    assert exact(text) == exact(exact(text))
    tolerant(text).encode("utf-8", "surrogatepass")
