"""The block list of every partition, for those who ask about any recipient: one trip for many."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from processor.core.blocks import Mark
from processor.core.messages import bare_number
from processor.core.partitions import partition_of
from processor.errors import StoreUnavailable
from processor.stores.block_list import BlockListStore, Snapshot
from processor.stores.trusted_list import ListTruth, TrustedList


@dataclass(frozen=True, slots=True)
class Found:
    """What is on the list for one recipient."""

    value: bytes | None  # packed blocks
    mark: Mark  # as of which


class WholeList:
    """Looks recipients up, all that are asked for at one moment in one trip, trusted ones only.

    Args:
        partitions: how many the topics have.
        store: the served list.
        truth: its durable truth.
        max_staleness_s: see ``TrustedList``.
    """

    def __init__(
        self,
        *,
        partitions: int,
        store: BlockListStore,
        truth: ListTruth,
        max_staleness_s: float | None = None,
    ) -> None:
        self._store = store
        self._lists = [
            TrustedList(
                partition,
                partitions=partitions,
                store=store,
                truth=truth,
                max_staleness_s=max_staleness_s,
            )
            for partition in range(partitions)
        ]
        self._asked: dict[str, asyncio.Future[Found]] = {}
        self._trips: set[asyncio.Task[None]] = set()
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
        return len(self._trips)

    async def look(self, keys: Sequence[str]) -> list[Found]:
        """Look up list keys, in their order; waits as long as the list cannot be trusted."""
        loop = asyncio.get_running_loop()
        fates = []
        for key in keys:
            fate = self._asked.get(key)
            if fate is None:
                fate = self._asked[key] = loop.create_future()
            fates.append(fate)
        if not self._under_way:
            self._under_way = True
            self._start(self._trips_until_done())
        # Shielded: who gives up waiting must not take the answer from others who asked the same.
        return await asyncio.gather(*map(asyncio.shield, fates))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._trips.add(task)
        task.add_done_callback(self._trips.discard)

    async def _trips_until_done(self) -> None:
        """One trip at a time: what is asked for meanwhile gathers for the next."""
        try:
            while self._asked:
                asked, self._asked = self._asked, {}
                await self._trip(asked)
        finally:
            self._under_way = False

    async def _trip(self, asked: Mapping[str, asyncio.Future[Found]]) -> None:
        keys: dict[int, list[str]] = defaultdict(list)
        for key in asked:
            place = partition_of(bare_number(key).encode(), len(self._lists))
            keys[place].append(key)
        known = {place: self._lists[place].mark for place in keys}
        try:
            found = await self._store.read_many(keys)
        except StoreUnavailable:
            found = {}
        for place, wanted in keys.items():
            fates = [asked[key] for key in wanted]
            snapshot = found.get(place)
            if snapshot and self._lists[place].accepts(snapshot, known[place]):
                _settle(fates, snapshot)
            else:
                # Waits by itself: the others are not held up by a partition that is rebuilt.
                self._start(self._wait(self._lists[place], wanted, fates))

    async def _wait(
        self, one: TrustedList, keys: Sequence[str], fates: Sequence[asyncio.Future[Found]]
    ) -> None:
        try:
            _settle(fates, await one.look(keys))
        except Exception as error:
            for fate in fates:
                if not fate.done():
                    fate.set_exception(error)


def _settle(fates: Sequence[asyncio.Future[Found]], snapshot: Snapshot) -> None:
    for fate, value in zip(fates, snapshot.values, strict=True):
        if not fate.done():
            fate.set_result(Found(value, snapshot.meta.mark))
