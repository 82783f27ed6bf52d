"""R25: how the only owner of a partition's list takes it over, writes and commits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import pytest

from processor.core.blocks import UNREADABLE, Mark
from processor.core.brakes import Brake
from processor.core.fold import Folded
from processor.core.identity import Handled, Recalled, reply_to
from processor.errors import Fenced, ListLost, NewerFormat
from processor.metrics import MatchMetrics, Metrics
from processor.stores.block_list import FORMAT
from processor.stores.memory import MemoryBlockList
from processor.stores.notes import Note
from processor.stores.owned_list import Entries, OwnedList
from processor.wire import blocks as wire_blocks
from tests.builders import ENTRY, NOW_MS, a_block
from tests.one_lane import EmptyList, NothingHandled, Services

BLOCKS = (a_block(),)
MESSAGE = Handled(b"0123456789", NOW_MS)
BRAKE = Brake(b"a brake...", NOW_MS)


class AList(EmptyList):
    """A topic of the list with records of one partition."""

    def __init__(self, *records: tuple[str, bytes | None]) -> None:
        self.records = records
        self.last = Mark(1, 1)

    async def settled_mark(self, partition: int) -> Mark:
        return self.last

    async def entries(self, partition: int) -> AsyncGenerator[list[tuple[str, bytes | None]], None]:
        yield list(self.records)


class HandledOnce(NothingHandled):
    """One message was handled recently."""

    async def recent(
        self, partition: int, committed: Mapping[str, int], *, more_ms: int = 0
    ) -> AsyncGenerator[Sequence[Recalled], None]:
        yield [Recalled(MESSAGE, BRAKE.id)]


def an_owner(
    store: MemoryBlockList,
    truth: EmptyList | None = None,
    handled: NothingHandled | None = None,
    metrics: Metrics | None = None,
) -> OwnedList:
    services: Any = Services()
    return OwnedList(
        0,
        partitions=1,
        topic="block-list",
        store=store,
        truth=truth or EmptyList(),
        configuration=services,
        handled=handled or NothingHandled(),
        metrics=MatchMetrics(metrics or Metrics()),
    )


async def taken(owner: OwnedList, *notes: str) -> OwnedList:
    """The owner, once it has taken the partition."""
    await owner.claim()
    await owner.inherit(notes)
    await owner.recover({})
    return owner


async def written(owner: OwnedList, blocks: Any = BLOCKS) -> Entries:
    """Write these blocks as the owner; return the entries it read first."""
    before = await owner.read([ENTRY, ENTRY], [MESSAGE, MESSAGE])
    await owner.write(before, Folded((), {ENTRY: blocks}, (MESSAGE,)), None)
    return before


def a_list() -> MemoryBlockList:
    return MemoryBlockList(lambda: NOW_MS)


async def test_what_is_written_is_read_back_with_a_later_mark() -> None:
    owner = await taken(an_owner(a_list()))
    before = await written(owner)
    assert (before.packed, before.blocks, before.seen) == ({ENTRY: None}, {ENTRY: ()}, frozenset())
    after = await owner.read([ENTRY], [MESSAGE])
    assert after.blocks == {ENTRY: BLOCKS}
    assert after.seen == {MESSAGE.id}
    assert after.mark > before.mark
    await written(owner, ())
    assert (await owner.read([ENTRY], [])).packed == {ENTRY: None}


async def test_nobody_is_asked_about_a_batch_that_touches_no_recipient() -> None:
    store = a_list()
    owner = await taken(an_owner(store))
    store.flush()
    found = await owner.read([], [])
    assert (found.packed, found.blocks, found.seen) == ({}, {}, frozenset())


async def test_the_note_is_the_mark_to_hold_and_a_successor_begins_above_its_epoch() -> None:
    store = a_list()
    owner = an_owner(store)
    await owner.claim()
    await owner.inherit([])
    first = Note.parse(owner.note)
    await owner.recover({})
    before = await written(owner)
    note = Note.parse(owner.note)
    assert (note.mark, note.epoch) == (before.mark, first.epoch)
    later = await taken(an_owner(store), owner.note)
    assert Note.parse(later.note).epoch > note.epoch
    assert (await later.read([ENTRY], [MESSAGE])).blocks == {ENTRY: BLOCKS}
    for act in (owner.confirm, owner.beat):
        with pytest.raises(Fenced):
            await act()


async def test_a_batch_whose_mark_was_not_committed_is_undone() -> None:
    store, metrics = a_list(), Metrics()
    owner = await taken(an_owner(store))
    note = owner.note
    await written(owner)
    later = await taken(an_owner(store, metrics=metrics), note)
    found = await later.read([ENTRY], [MESSAGE])
    assert (found.packed, found.seen) == ({ENTRY: None}, frozenset())
    assert metrics.registry.get_sample_value("optout_batches_undone_total") == 1


@pytest.mark.parametrize("act", ["read", "confirm", "beat"])
async def test_a_list_that_was_emptied_fails_the_owner(act: str) -> None:
    store = a_list()
    owner = await taken(an_owner(store))
    await written(owner)
    await store.declare_lost(0)
    acts = {"read": owner.read([ENTRY], []), "confirm": owner.confirm(), "beat": owner.beat()}
    failing = acts.pop(act)
    for other in acts.values():
        other.close()
    with pytest.raises(ListLost):
        await failing


async def test_a_list_that_is_not_whole_is_rebuilt_from_its_topic_with_what_was_handled() -> None:
    store, metrics = a_list(), Metrics()
    other = ENTRY.replace("1", "2")
    truth = AList((ENTRY, wire_blocks.write_entry(ENTRY, BLOCKS)), (other, b"no entry"))
    owner = await taken(an_owner(store, truth, HandledOnce(), metrics))
    found = await owner.read([ENTRY, other], [MESSAGE])
    assert found.blocks == {ENTRY: BLOCKS, other: (UNREADABLE,)}
    assert found.seen == {MESSAGE.id}
    unreadable = {"seen_by": "rebuild"}
    assert metrics.registry.get_sample_value("optout_unreadable_entries_total", unreadable) == 1


async def test_an_entry_that_cannot_be_read_has_the_list_rebuilt() -> None:
    store = a_list()
    owner = await taken(an_owner(store))
    await written(owner)
    store._at(0).entries[ENTRY] = b"\xff"
    with pytest.raises(ListLost, match="rebuilt"):
        await owner.read([ENTRY], [])
    assert (await store.read(0, ())).meta.ready is None


async def test_r25_an_owner_of_a_later_epoch_is_not_followed_until_the_epoch_is_above_its() -> None:
    store = a_list()
    owner = an_owner(store)
    await owner.claim()
    later = Note(Mark(NOW_MS + 1_000, 3), NOW_MS + 1_000)
    with pytest.raises(ListLost, match="later epoch"):
        await owner.inherit([str(later)])
    await taken(owner, str(later))
    assert Note.parse(owner.note).epoch > later.epoch


async def test_a_newer_versions_note_stops_the_owner() -> None:
    owner = an_owner(a_list())
    await owner.claim()
    with pytest.raises(NewerFormat):
        await owner.inherit([f"{FORMAT.written + 1} 7-3"])


async def test_r37_a_rebuild_counts_the_replies_that_the_topics_have() -> None:
    owner = await taken(an_owner(MemoryBlockList(lambda: NOW_MS), handled=HandledOnce()))
    found = await owner.read([ENTRY], [MESSAGE], [BRAKE])
    assert found.seen == {MESSAGE.id}
    assert found.replied == {BRAKE.id: (reply_to(MESSAGE),)}
