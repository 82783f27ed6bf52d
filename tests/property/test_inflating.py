"""Any compressed or falsely marked data is read completely or refused, within the limits."""

from __future__ import annotations

import random
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.kafka import inflating, pieces
from processor.kafka.codecs import Broken, NoRoom, inflate_into
from processor.kafka.fetched import Record, UnreadBatch
from tests.batches import CODECS, NONE, a_batch, a_record, batch_of, deflated, walked

codecs = st.sampled_from(CODECS)
payloads = st.builds(
    lambda part, times, end: part * times + end,
    st.binary(max_size=300),
    st.integers(0, 2_000),
    st.binary(max_size=300),
)


@given(codecs, payloads, st.integers(-40, 40))
def test_a_payload_is_inflated_whole_or_refused(codec: int, payload: bytes, spare: int) -> None:
    most = max(0, len(payload) + spare)
    room = bytearray(most) + b"behind"
    view = memoryview(room)[:most]
    try:
        size = inflate_into(codec, memoryview(deflated(codec, [payload])), view)
    except NoRoom:
        assert len(payload) > most
    except Broken:
        assert not payload  # nothing compressed is nothing to some codecs
    else:
        assert bytes(view[:size]) == payload
    assert room[most:] == b"behind"


@st.composite
def broken(draw: st.DrawFn) -> tuple[int, bytes]:
    """A codec, and what once was its own, or never."""
    codec = draw(codecs)
    data = bytearray(
        draw(st.binary(max_size=200) | payloads.map(lambda one: deflated(codec, [one])))
    )
    for at, byte in draw(
        st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6)
    ):
        if data:
            data[at % len(data)] = byte
    return codec, bytes(data[: draw(st.integers(0, len(data)))])


@given(broken(), st.integers(0, 5_000))
def test_garbage_is_refused_and_nothing_else(made: tuple[int, bytes], most: int) -> None:
    codec, data = made
    room = bytearray(most) + b"behind"
    with suppress(NoRoom, Broken):
        assert inflate_into(codec, memoryview(data), memoryview(room)[:most]) <= most
    assert room[most:] == b"behind"


@given(broken() | st.tuples(st.just(NONE), st.binary(max_size=300)), st.integers(0, 50))
def test_a_batch_of_garbage_is_passed_whole(made: tuple[int, bytes], count: int) -> None:
    codec, data = made
    batch = a_batch(codec, data, count, first=70, last=99)
    behind = batch_of(codec, [a_record(0, b"key", b"value")], first=100)
    *passed, last = walked(batch + behind, position=70)
    assert last == Record("texts", 3, 100, last.timestamp, 0, b"key", b"value", ())
    assert all(isinstance(one, UnreadBatch) for one in passed[-1:])


records = st.lists(
    st.tuples(
        st.none() | st.binary(max_size=30),
        st.none() | st.binary(max_size=400),
        st.lists(st.tuples(st.binary(max_size=8), st.none() | st.binary(max_size=20)), max_size=3),
    ),
    min_size=1,
    max_size=40,
)


@given(st.data(), st.sampled_from((NONE, *CODECS)), records)
def test_records_come_once_and_in_order_however_they_are_cut(
    data: st.DataObject, codec: int, written: list[tuple[bytes | None, bytes | None, Any]]
) -> None:
    made = [a_record(number, *fields) for number, fields in enumerate(written)]
    parts = data.draw(st.lists(st.integers(0, len(made)), max_size=3).map(sorted))
    batches, bounds = b"", [0, *parts, len(made)]
    for first, end in pairwise(bounds):
        if first < end:
            batches += batch_of(
                codec,
                [a_record(at, *fields) for at, fields in enumerate(written[first:end])],
                first=first,
            )
    position = data.draw(st.integers(0, len(made)))
    sizes = random.Random(data.draw(st.integers(0, 99)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE", size := data.draw(st.integers(1, 3_000)))
        patch.setattr(inflating, "PIECE", size)
        patch.setattr(inflating, "_SHORT", data.draw(st.sampled_from((1, 2_000, 1 << 20))))
        patch.setattr(inflating, "_BUDGET", data.draw(st.sampled_from((0, 3_000, 1 << 20))))
        found = walked(batches, position=position, most=lambda: sizes.randint(1, 5))
    assert [(one.offset, one.key, one.value) for one in found] == [
        (offset, key, value) for offset, (key, value, _) in enumerate(written) if offset >= position
    ]
    for one in found:
        assert [said for _, said in one.headers] == [said for _, said in written[one.offset][2]]
        assert [name for name, _ in one.headers] == [
            name.decode(errors="replace") for name, _ in written[one.offset][2]
        ]
