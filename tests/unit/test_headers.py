"""Which headers are passed on, and how they show a record's path."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from processor.core.messages import Arrival
from processor.wire import dead_letters
from processor.wire.dead_letters import Letter, letter_of, reference_of
from processor.wire.headers import (
    FIRST_APPEND,
    MOST_BYTES,
    MOST_HEADERS,
    SENT_ON,
    arrival_of,
    kept,
    of_the_way,
    passed_on,
    was_sent_on,
)
from processor.wire.records import Headers
from tests.builders import NOW_MS


def a_record(*headers: tuple[str, bytes | None], **changes: Any) -> Any:
    fields = {"topic": "texts", "partition": 3, "offset": 7, "timestamp": NOW_MS, "key": b"k"}
    return SimpleNamespace(**fields | {"value": b"v", "headers": headers} | changes)


def test_as_many_headers_are_kept_as_have_room_beside_the_key() -> None:
    few: Headers = [("a", b"1"), ("b", None)]
    assert kept(few, b"key") is few
    assert kept([("a", b"")] * (MOST_HEADERS + 1)) == [("a", b"")] * MOST_HEADERS
    large: Headers = [("a", bytes(40_000)), ("b", bytes(40_000)), ("c", b"")]
    assert kept(large) == large[:1]
    assert kept(few, bytes(MOST_BYTES)) == []


def test_what_speaks_of_the_record_itself_is_not_passed_on() -> None:
    ours: Headers = [("ce_id", b"1"), ("mark", b"2"), ("optout.sent-on", b"3")]
    assert passed_on([("traceparent", b"4"), *ours]) == [("traceparent", b"4")]
    assert passed_on(ours) is None


@pytest.mark.parametrize(
    ("first", "first_ms"),
    [
        (b"1793620000000", 1_793_620_000_000),
        (b"", None),
        (None, None),
        (b"-1", None),
        (b"1" * 16, None),
        ("²".encode(), None),
    ],
)
def test_the_first_append_time_is_read_where_it_is_a_time(
    first: bytes | None, first_ms: int | None
) -> None:
    assert arrival_of(a_record((FIRST_APPEND, first))) == Arrival(NOW_MS, first_ms)


def test_a_record_without_headers_came_when_it_came() -> None:
    assert arrival_of(a_record()) == Arrival(NOW_MS)


def test_a_record_is_known_to_have_been_sent_on() -> None:
    assert was_sent_on(a_record((SENT_ON, b"texts[1]@2")))
    assert not was_sent_on(a_record(("other", b"texts[1]@2")))


@pytest.mark.parametrize(("said_ms", "first_ms"), [(NOW_MS - 5, NOW_MS - 5), (NOW_MS + 5, NOW_MS)])
def test_the_earlier_time_goes_on(said_ms: int, first_ms: int) -> None:
    made = of_the_way(a_record(("a", b"1"), (FIRST_APPEND, b"%d" % said_ms)))
    assert ("a", b"1") in made
    assert [value for name, value in made if name == FIRST_APPEND] == [b"%d" % first_ms]


# Dead letters


def a_letter(**changes: Any) -> Letter:
    return letter_of(a_record(**changes), stage="match", reason="why", by_reference=True)


def test_a_letter_by_reference_says_where_the_record_lies() -> None:
    letter = a_letter()
    assert letter.is_reference
    found = reference_of(letter.headers)
    assert found is not None
    assert (found["topic"], found["partition"], found["offset"], found["size"]) == (
        "texts",
        3,
        7,
        1,
    )
    whole = letter_of(a_record(), stage="match", reason="why")
    assert not whole.is_reference
    assert reference_of(whole.headers) is None


def test_a_letter_of_a_batch_says_where_the_batch_begins() -> None:
    letter = a_letter(sha256="ab", size=99, first_offset=4, begins=b"begins")
    found = reference_of(letter.headers)
    assert found is not None
    assert (found["first_offset"], found["size"], found["sha256"]) == (4, 99, "ab")


@pytest.mark.parametrize("said", [b"{", b"[]", b"7"])
def test_a_reference_that_cannot_be_read_is_none(said: bytes) -> None:
    assert reference_of([(dead_letters.REFERENCE, said)]) is None
