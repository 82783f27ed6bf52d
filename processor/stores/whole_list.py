"""The block list of every partition, for those who ask about any recipient: one trip for many."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace

from processor.core.blocks import ConfigView, Mark, linked_blocks
from processor.core.messages import account_of, entry_of, subscriber_of
from processor.core.partitions import partitions_of
from processor.errors import StoreUnavailable, UnreadableEntry
from processor.stores.block_list import BlockListReader, Snapshot
from processor.stores.trusted_list import ListTruth, TrustedList
from processor.wire import blocks as wire_blocks


@dataclass(frozen=True, slots=True)
class Found:
    """The list's entry for one recipient."""

    value: bytes | None  # packed blocks
    mark: Mark  # as of which
    committed: Mark  # changes up to it cannot be undone
    key: str = ""  # of the entry that has the blocks: of a linked user id, its number's (R32)


class WholeList:
    """Looks recipients up in trusted lists only; look-ups of one moment share a trip.

    Args:
        partitions: how many the topics have.
        store: the served list.
        truth: its durable truth.
        max_staleness_s: see ``TrustedList``.
        config: see ``TrustedList``.
    """

    def __init__(
        self,
        *,
        partitions: int,
        store: BlockListReader,
        truth: ListTruth,
        max_staleness_s: float | None = None,
        config: Callable[[int], ConfigView | None] = lambda position: None,
    ) -> None:
        self._store = store
        self._lists = [
            TrustedList(
                partition,
                partitions=partitions,
                store=store,
                truth=truth,
                max_staleness_s=max_staleness_s,
                config=config,
            )
            for partition in range(partitions)
        ]
        self._next = _Trip()
        self._works: set[asyncio.Task[None]] = set()
        self._under_way = False

    async def learn(self) -> None:
        """Learn which list to trust; once, before the first look."""
        for one in self._lists:
            await one.learn()

    @property
    def waits_for(self) -> list[str]:
        """Why parts of the list cannot be trusted now; empty where all can."""
        reasons = [one.waits_for for one in self._lists]
        return sorted({reason for reason in reasons if reason})

    @property
    def waiting(self) -> int:
        """How many trips are under way or wait for a list that can be trusted."""
        return len(self._works)

    async def look(self, keys: Sequence[str]) -> list[Found]:
        """Look up entry keys, in their order; waits as long as the list cannot be trusted.

        For a user id with a link, the blocks and the mark are of its number's entry (R32).
        """
        found = await self._look(keys)
        links = [(key, link) for key in keys if (link := wire_blocks.link_in(found[key].value))]
        if not links:
            return [found[key] for key in keys]
        numbers = {key: entry_of(account_of(key), f"whatsapp:{link}") for key, link in links}
        of_numbers = await self._look(list(numbers.values()))
        for key, number in numbers.items():
            found[key] = _followed(key, found[key], of_numbers[number])
        return [found[key] for key in keys]

    async def _look(self, keys: Sequence[str]) -> dict[str, Found]:
        places = partitions_of([subscriber_of(key).encode() for key in keys], len(self._lists))
        trip = self._next
        for place, key in zip(places, keys, strict=True):
            trip.asked[place][key] = None
        if not self._under_way:
            self._under_way = True
            self._start(self._trips())
        await trip.back.wait()
        for place in trip.waits.keys() & set(places):
            # Shielded: a caller that gives up must not take the answer from others of the same
            # trip.
            await asyncio.shield(trip.waits[place])
        return {key: trip.found[key] for key in keys}

    async def look_at(self, keys: Sequence[str]) -> list[Found]:
        """As ``look``, but each entry as it is: no link is followed."""
        found = await self._look(keys)
        return [found[key] for key in keys]

    async def close(self) -> None:
        """Give up what is under way or waits: those who asked are gone."""
        works = list(self._works)
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)

    def _start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._works.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._works.discard(task)
        if not task.cancelled():
            task.exception()  # looked at here, as whoever waited for it may have given up

    async def _trips(self) -> None:
        """One trip at a time: look-ups that come meanwhile gather for the next."""
        try:
            while self._next.asked:
                trip, self._next = self._next, _Trip()
                try:
                    await self._make(trip)
                finally:
                    trip.back.set()
        finally:
            self._under_way = False

    async def _make(self, trip: _Trip) -> None:
        known = {place: self._lists[place].mark for place in trip.asked}
        keys = {place: list(asked) for place, asked in trip.asked.items()}
        try:
            found = await self._store.read_many(keys)
        except StoreUnavailable:
            found = {}
        for place, asked in keys.items():
            snapshot = found.get(place)
            if snapshot and self._lists[place].accepts(snapshot, known[place]):
                trip.learn(asked, snapshot)
            else:
                # Waits by itself: the others are not held up by a partition that is rebuilt.
                trip.waits[place] = self._start(self._wait(self._lists[place], asked, trip))

    async def _wait(self, one: TrustedList, keys: Sequence[str], trip: _Trip) -> None:
        trip.learn(keys, await one.look(keys))


def _followed(key: str, of_id: Found, of_number: Found) -> Found:
    """A user id's blocks: those of its number's entry, and its own until they are merged."""
    if of_number.value is None:
        return replace(of_number, value=of_id.value)
    try:
        there = wire_blocks.stored_in(of_number.value)
    except UnreadableEntry:
        return of_number
    own = wire_blocks.readable(of_id.value)
    blocks = linked_blocks(own, there, subscriber_of(key))
    return replace(of_number, value=wire_blocks.pack(blocks) if blocks else None)


class _Trip:
    """The look-ups of one moment, and their answers."""

    def __init__(self) -> None:
        self.asked: dict[int, dict[str, None]] = defaultdict(dict)  # keys by partition, once each
        self.found: dict[str, Found] = {}
        self.waits: dict[int, asyncio.Task[None]] = {}  # for partitions not to be trusted yet
        self.back = asyncio.Event()

    def learn(self, keys: Sequence[str], snapshot: Snapshot) -> None:
        """Keep what a look at keys came to."""
        meta = snapshot.meta
        for key, value in zip(keys, snapshot.values, strict=True):
            self.found[key] = Found(value, meta.mark, meta.committed, key)
