"""A consumer gets all readable records, in pieces, and a marker for unreadable batches."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.errors import CorruptRecordException

from processor.kafka import fetched as module
from processor.kafka import inflating as limits
from processor.kafka.codecs import GZIP, LZ4, NAMES, SNAPPY, ZSTD
from processor.kafka.fetched import FetchedRecord, UnreadBatch, readable
from tests.batches import (
    CODECS,
    NONE,
    PLACE,
    WRITTEN_AT_MS,
    a_batch,
    a_long_record,
    a_record,
    batch_of,
    deflated,
    fetched,
    took,
    walked,
    zeros,
)

pytestmark = pytest.mark.usefixtures("readers")
MIB = 1 << 20
EVERY = pytest.mark.parametrize("codec", [NONE, *CODECS], ids={NONE: "none", **NAMES}.get)
STOP = a_record(0, b"+15550100001", b"stop")


@pytest.fixture(autouse=True)
def inflating(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has inflated nothing yet, and does not have to rest."""
    monkeypatch.setattr(module, "_inflating", limits.Inflating())
    yield
    assert module._inflating.kept() == 0


def offsets(records: list[Any]) -> list[int]:
    return [one.offset for one in records]


def some(count: int, size: int) -> list[bytes]:
    return [a_record(number, b"key", bytes(size)) for number in range(count)]


@EVERY
def test_a_record_is_as_it_was_written(codec: int) -> None:
    headers = [(b"traceparent", b"00-1"), (b"empty", None), (b"caf\xe9", b"latin")]
    written = [a_record(0, None, b"one"), a_record(1, b"key", None, headers), STOP]
    [one, two] = walked(batch_of(codec, written[:2], first=40))
    assert one == FetchedRecord("texts", 3, 40, WRITTEN_AT_MS, 0, None, b"one", ())
    assert two.headers == (("traceparent", b"00-1"), ("empty", None), ("caf\ufffd", b"latin"))
    assert (two.key, two.value, two.offset) == (b"key", None, 41)
    assert (two.checksum, two.serialized_key_size, two.serialized_value_size) == (None, 3, -1)


@EVERY
@pytest.mark.parametrize("most", [1, 3, 5_000])
def test_it_goes_on_where_it_was_left(codec: int, most: int) -> None:
    data = b"".join(batch_of(codec, some(5, 10), first=first) for first in (0, 5, 10))
    assert offsets(walked(data, 7, most=lambda: most)) == list(range(7, 15))


def test_what_compaction_took_away_is_passed() -> None:
    gone, left = a_batch(ZSTD, b"", 0, first=0, last=8), [a_record(4, b"key", b"last one")]
    data = gone + batch_of(LZ4, left, first=9, last=19)
    records = fetched(data)
    assert offsets(took(records, 10)) == [13]
    assert (records.next_fetch_offset, records.at_end) == (20, True)


def test_a_small_amount_at_once_whatever_it_inflates_to() -> None:
    """A fetch of 1 MiB may be thousands of such batches."""
    data = b"".join(batch_of(ZSTD, some(7, 100_000), first=7 * at) for at in range(30))
    records = fetched(data)
    taken = []
    while not records.at_end:
        taken.append(took(records, 5_000))
        assert sum(len(one.value) for one in taken[-1]) <= 2 * MIB
    assert [one.offset for found in taken for one in found] == list(range(210))
    assert len(taken) == 16  # two batches a call, and one call that finds the end


def test_what_is_not_handed_out_is_inflated_one_at_a_time() -> None:
    bomb = deflated(ZSTD, a_long_record(0, 7 * MIB))
    data = b"".join(a_batch(ZSTD, bomb, 1, first=at) for at in range(3))
    records = fetched(data)
    assert [offsets(took(records, 5_000)) for _ in range(4)] == [[0], [1], [2], []]


@pytest.mark.parametrize("codec", CODECS, ids=NAMES.get)
@pytest.mark.parametrize("size", [3, 8, 20])
def test_a_batch_of_several_mib_comes_in_pieces(codec: int, size: int) -> None:
    count = size * 10 - 1
    records = fetched(batch_of(codec, some(count, 104_000)) + batch_of(codec, [STOP], first=count))
    taken = []
    while not records.at_end:
        taken += took(records, 6)
        held = records._walk and (records._walk.kept, records._walk.kept_piece)
        assert not held or sum(held) <= 9 * MIB
    assert offsets(taken) == list(range(count + 1))


def test_all_that_is_kept_inflated_stays_within_a_budget() -> None:
    data = batch_of(ZSTD, some(70, 104_000))
    consumers = [fetched(data) for _ in range(12)]
    taken: list[list[Any]] = [[] for _ in consumers]
    while not all(one.at_end for one in consumers):
        for records, found in zip(consumers, taken, strict=True):
            found += took(records, 4)
            assert module._inflating.kept() <= 64 * MIB
    assert all(offsets(found) == list(range(70)) for found in taken)


def test_one_long_batch_is_inflated_in_a_process_and_others_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "_TURN_S", 60.0)
    data = batch_of(ZSTD, some(200, 104_000))
    first, second = fetched(data), fetched(data)
    found = took(first, 4)
    assert (offsets(found), took(second, 4), second.at_end) == ([0, 1, 2, 3], [], False)
    while not first.at_end:
        assert took(second, 4) == []
        found += took(first, 5_000)
    assert offsets(found) == list(range(200))
    assert offsets(took(second, 4)) == [0, 1, 2, 3]
    # A reader that stops asking makes way, and resumes where it was; so does a reader that is gone.
    third = fetched(data)
    assert took(third, 4) == []
    monkeypatch.setattr(limits, "_TURN_S", 0.0)
    assert offsets(took(third, 4)) == [0, 1, 2, 3]
    del third
    rest = []
    while not second.at_end:
        rest += took(second, 5_000)
    assert offsets(rest) == list(range(4, 200))


def test_a_partition_of_long_batches_makes_way_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_TURN_S", 60.0)
    long = some(90, 104_000)
    busy = fetched(batch_of(ZSTD, long) + batch_of(ZSTD, long, first=90))
    other = fetched(batch_of(ZSTD, long))
    found = took(busy, 5_000)
    assert took(other, 5_000) == []
    while now := took(busy, 5_000):
        found += now
    assert offsets(found) == list(range(90))
    while not other.at_end:
        assert took(other, 5_000) or other.at_end
    assert offsets(took(busy, 1)) == [90]


BOMB = a_batch(ZSTD, deflated(ZSTD, a_long_record(0, 65 * MIB)), 1)


@pytest.mark.parametrize(
    ("batch", "why"),
    [
        (BOMB, "a batch that inflates to more than 64 MiB"),
        (
            a_batch(GZIP, deflated(GZIP, a_long_record(0, 65 * MIB)), 1),
            "a batch that inflates to more than 64 MiB",
        ),
        (
            a_batch(LZ4, b"none of it", 1),
            "a batch that cannot be inflated: it is not lz4, or not whole",
        ),
        (
            a_batch(SNAPPY, b"\xff\xff\xff\xff\x0f", 1),
            "a batch that inflates to more than 64 MiB",
        ),
        (
            a_batch(6, b"later", 1),
            "a batch of codec 6, which is none of gzip, snappy, lz4, zstd",
        ),
        (a_batch(NONE, b"\x14", 1), "a batch that cannot be split into records"),
        (a_batch(ZSTD, deflated(ZSTD, [STOP]), 2), "a batch that cannot be split into records"),
        (
            a_batch(ZSTD, deflated(ZSTD, zeros(2 * MIB)), 1),
            "a batch that cannot be split into records",
        ),
        (
            a_batch(ZSTD, deflated(ZSTD, [b"\xff" * 2 * MIB]), 1),
            "a batch that cannot be split into records",
        ),
        (
            a_batch(ZSTD, deflated(ZSTD, a_long_record(0, 3 * MIB)), 1),
            "a record that inflates to more than 2 MiB",
        ),
        (
            batch_of(LZ4, [a_record(0, b"key", bytes(MIB), [(b"", None)] * 1_001)]),
            "a record with more than 1,000 headers in a long compressed batch",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "batch",  # its bytes hold the time
)
def test_a_batch_that_cannot_be_read_is_named_and_passed(
    batch: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    behind = batch_of(NONE, [STOP], first=20)
    [unread, stop] = [
        one for one in walked(batch + behind) if not isinstance(one, FetchedRecord)
    ] + [one for one in walked(batch + behind) if one.offset == 20]
    assert isinstance(unread, UnreadBatch)
    assert replace(unread, begins=b"") == UnreadBatch(
        topic=PLACE.topic,
        partition=PLACE.partition,
        offset=unread.offset,
        timestamp=WRITTEN_AT_MS,
        timestamp_type=0,
        first_offset=unread.offset,
        size=len(batch),
        sha256=hashlib.sha256(batch).hexdigest(),
        why=why,
    )
    assert (unread.key, unread.value, unread.headers) == (None, None, ())
    assert readable([unread, stop]) == [stop]
    assert stop.value == b"stop"
    [said, _] = [one for one in caplog.records if one.getMessage() == "batch.unread"]
    assert said.levelno == logging.WARNING
    assert vars(said).items() >= {"offset": unread.offset, "why": why}.items()


def test_an_unread_batch_stands_where_its_last_record_would() -> None:
    data = a_batch(LZ4, b"broken", 10, first=100) + batch_of(LZ4, [STOP], first=110)
    [unread, stop] = walked(data, position=104)
    assert (unread.first_offset, unread.offset, stop.offset) == (104, 109, 110)


def test_neighbours_of_a_record_that_is_too_long_are_read() -> None:
    payload = [*some(2, 10), *a_long_record(2, 30 * MIB), a_record(3, b"key", b"stop")]
    found = walked(a_batch(ZSTD, deflated(ZSTD, payload), 4))
    assert [type(one) for one in found] == [
        FetchedRecord,
        FetchedRecord,
        UnreadBatch,
        FetchedRecord,
    ]
    assert offsets(found) == [0, 1, 2, 3]
    assert (found[2].first_offset, found[3].value) == (2, b"stop")
    assert isinstance(found[2], UnreadBatch)
    assert len(found[2].begins) == 65_536


def test_a_wrong_checksum_is_no_batch_to_pass() -> None:
    good, bad = batch_of(LZ4, [STOP]), batch_of(LZ4, [STOP], first=1, wrong_checksum=True)
    records = fetched(good + bad)
    assert offsets(took(records, 10)) == [0]
    assert (records.next_fetch_offset, records.at_end) == (1, True)
    for _ in range(2):
        with pytest.raises(CorruptRecordException):
            took(fetched(bad, 1))


def test_what_was_aborted_is_not_even_inflated(caplog: pytest.LogCaptureFixture) -> None:
    options: dict[str, Any] = {"producer": 7, "transactional": True}
    bomb = a_batch(ZSTD, deflated(ZSTD, zeros(65 * MIB)), 1, **options)
    [stop] = walked_with(bomb + batch_of(LZ4, [STOP], first=1, producer=8), aborted=[(7, 0)])
    assert stop.offset == 1
    assert not caplog.records


def walked_with(data: bytes, *, aborted: list[tuple[int, int]]) -> list[Any]:
    found: list[Any] = took(fetched(data, aborted=aborted))
    return found


@pytest.mark.slow
@EVERY
def test_headers_that_would_fill_the_memory_are_not_handed_out(codec: int) -> None:
    """A header takes two bytes in a record, and sixty in memory."""
    lavish = [a_record(at, b"key", b"stop", [(b"", None)] * 40_000) for at in range(12)]
    records = fetched(batch_of(codec, lavish))
    found = took(records, 5_000)
    assert {len(one.headers) for one in found} == {1_000}
    wide = [a_record(at, b"key", b"stop", [(b"", None)] * 900) for at in range(200)]
    records, found = fetched(batch_of(codec, wide)), []
    while not records.at_end:
        now = took(records, 5_000)
        assert sum(len(one.headers) for one in now) <= 21_000
        found += now
    assert offsets(found) == list(range(200))
