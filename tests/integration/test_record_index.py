"""The index of a history in Redis: records are added once, found, and dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from processor.config import Settings
from processor.stores import record_index
from processor.stores.record_index import RecordIndex
from processor.stores.redis_client import redis_client
from processor.wire.record_index import About, Extent, Known
from tests.builders import ACCOUNT, OTHER_ACCOUNT, RECIPIENT

NEVER = Extent("", 0)
OURS, THEIRS = About(RECIPIENT, ACCOUNT), About(RECIPIENT, OTHER_ACCOUNT)


@pytest.fixture
async def index(settings: Settings) -> AsyncIterator[RecordIndex]:
    client = redis_client(settings)
    yield RecordIndex(client, prefix=settings.topic_prefix, name="block-changes")
    await client.close()


async def offsets(index: RecordIndex, part: str | None = ACCOUNT, **given: int) -> list[int]:
    found = await index.find(
        1, RECIPIENT, part, below=given.get("below"), most=given.get("most", 100)
    )
    return list(found.offsets)


async def test_records_are_found_by_subject_and_part_the_newest_first(index: RecordIndex) -> None:
    assert await index.find(1, RECIPIENT, ACCOUNT, below=None, most=9) == Known(NEVER, [])
    extent = await index.begin(1, NEVER, Extent("T1", 40))
    others = [(About(f"+1555{number:07}", ACCOUNT), 100 + number) for number in range(400)]
    entries = [(OURS, 40), (THEIRS, 41), (OURS, 43), *others, (OURS, 1 << 40)]
    extent = await index.add(1, extent, (1 << 40) + 1, first=0, entries=entries)
    assert extent == await index.extent(1) == Extent("T1", (1 << 40) + 1)
    assert await index.find(1, RECIPIENT, ACCOUNT, below=None, most=9) == Known(
        extent, [1 << 40, 43, 40]
    )
    assert await offsets(index, OTHER_ACCOUNT) == [41]
    assert await offsets(index, None) == [1 << 40, 43, 41, 40]
    assert await offsets(index, below=1 << 40, most=1) == [43]
    assert await offsets(index, below=40) == []
    assert await index.extent(0) == NEVER


async def test_who_saw_the_index_otherwise_adds_nothing(index: RecordIndex) -> None:
    begun = await index.begin(1, NEVER, Extent("T1", 0))
    assert await index.begin(1, NEVER, Extent("T2", 7)) == begun
    added = await index.add(1, begun, 5, first=0, entries=[(OURS, 3)])
    for stale in (begun, Extent("T2", 5), NEVER):
        assert await index.add(1, stale, 9, first=0, entries=[(OURS, 3), (OURS, 8)]) == added
    assert await offsets(index) == [3]
    assert await index.begin(1, added, Extent("T2", 7)) == Extent("T2", 7)
    assert await offsets(index) == []


async def test_what_the_topic_has_let_go_of_goes_as_its_string_is_added_to(
    index: RecordIndex,
) -> None:
    extent = await index.begin(1, NEVER, Extent("T1", 0))
    entries = [(OURS, offset) for offset in range(300)]
    extent = await index.add(1, extent, 300, first=0, entries=entries)
    extent = await index.add(1, extent, 400, first=298, entries=[(OURS, 399)])
    assert await offsets(index) == [399, 299, 298]
    extent = await index.add(1, extent, 500, first=450, entries=[(THEIRS, 499)])
    assert await offsets(index, None) == [499]


@pytest.mark.parametrize("chunk", [16, 48, 16 << 14])
async def test_a_long_string_is_read_from_its_end_piece_by_piece(
    index: RecordIndex, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(record_index, "_CHUNK", chunk)
    extent = await index.begin(1, NEVER, Extent("T1", 0))
    entries = [(OURS if offset % 3 else THEIRS, offset) for offset in range(40)]
    await index.add(1, extent, 40, first=0, entries=entries)
    assert await offsets(index) == [one for one in range(39, -1, -1) if one % 3]
    assert await offsets(index, OTHER_ACCOUNT, most=4) == [39, 36, 33, 30]
    assert await offsets(index, OTHER_ACCOUNT, below=30) == [27, 24, 21, 18, 15, 12, 9, 6, 3, 0]
