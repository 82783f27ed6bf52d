"""Reading a partition's served block list only where it can be trusted (R25)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from processor.core.blocks import NO_MARK, Mark
from processor.errors import StoreUnavailable
from processor.stores.block_list import BlockListStore, Snapshot

logger = logging.getLogger(__name__)

_WAIT_S = (0.02, 1.0)


class ListTruth(Protocol):
    """What the durable truth of the list says of itself; ``BrokerUnavailable`` where it cannot."""

    async def id(self) -> str:
        """The topic's id; a list built from another one is lost."""
        ...

    async def last_mark(self, partition: int) -> Mark:
        """The mark of the last committed record of a partition."""
        ...


class TrustedList:
    """One partition of the block list, as one reader has seen it so far.

    Args:
        partition: which.
        partitions: how many the topics have.
        store: the served list.
        truth: its durable truth.
        max_staleness_s: wait also where the list's owner was not heard for so long; None: never.
    """

    def __init__(
        self,
        partition: int,
        *,
        partitions: int,
        store: BlockListStore,
        truth: ListTruth,
        max_staleness_s: float | None = None,
    ) -> None:
        self._partition = partition
        self._partitions = partitions
        self._store = store
        self._truth = truth
        self._max_staleness_s = max_staleness_s
        self._mark = NO_MARK  # the highest seen: the list can only go on from there
        self._topic_id = ""
        self._trusted_connection = 0
        self.waits_for: str | None = None  # why it cannot be trusted now

    async def learn(self) -> None:
        """Learn anew which list to trust."""
        self._topic_id = await self._truth.id()
        self._trusted_connection = 0

    async def look(self, keys: Sequence[str]) -> Snapshot:
        """Look at recipients, waiting as long as the list cannot be trusted: nobody judges by less.

        Args:
            keys: list keys of this partition.
        """
        wait_s = _WAIT_S[0]
        while True:
            known = self._mark  # others may look meanwhile, and see later ones
            try:
                found = await self._store.read(self._partition, keys)
                if found.connection != self._trusted_connection:
                    # Perhaps another server than before: it must hold all that was committed.
                    last = await self._truth.last_mark(self._partition)
                    self._mark = max(self._mark, last)
                    self._trusted_connection = found.connection
                    continue
                why = await self._distrust(found, known)
            except StoreUnavailable as error:
                why = str(error)
            self.waits_for = why
            if why is None:
                self._mark = max(self._mark, found.meta.mark)
                return found
            if wait_s == _WAIT_S[0]:
                logger.warning("list.distrusted", extra={"partition": self._partition, "why": why})
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _WAIT_S[1])

    async def _distrust(self, found: Snapshot, known: Mark) -> str | None:
        meta = found.meta
        if meta.ready not in (None, self._topic_id):
            self._topic_id = await self._truth.id()  # created anew since?
        if meta.ready != self._topic_id:
            return "the block list is not whole; its owner rebuilds it"
        if meta.partitions != self._partitions:
            return f"the block list was built for {meta.partitions} partitions"
        if meta.mark < known:
            return "Redis lost writes; the owner of the list rebuilds it"
        limit_s, unheard_ms = self._max_staleness_s, meta.unheard_ms
        if limit_s is not None and (unheard_ms is None or unheard_ms > 1000 * limit_s):
            # Perhaps a master that was cut off: what the owner writes goes to another one.
            return f"the owner of the block list was not heard for {limit_s:g} s"
        return None
