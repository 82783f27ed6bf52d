"""Filling a partition's served block list again, from what Kafka keeps."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import aclosing

from processor.core.blocks import UNREADABLE
from processor.core.brakes import Recount
from processor.core.identity import reply_to
from processor.errors import NewerFormat
from processor.metrics import MatchMetrics
from processor.stores.block_list import BlockListOwner
from processor.stores.owner_sources import OwnersTruth, RecentlyHandled
from processor.wire import blocks as wire_blocks

_AT_ONCE = 1_000  # brakes

logger = logging.getLogger(__name__)


class Refill:
    """Puts entries and handled ids of one partition into its list.

    Args:
        partition: which.
        topic: full name of the durable truth, for people.
        store: the served list.
        truth: its durable truth.
        handled: the messages handled lately.
        metrics: count what cannot be read.
    """

    def __init__(
        self,
        partition: int,
        *,
        topic: str,
        store: BlockListOwner,
        truth: OwnersTruth,
        handled: RecentlyHandled,
        metrics: MatchMetrics,
    ) -> None:
        self._partition = partition
        self._topic = topic
        self._store = store
        self._truth = truth
        self._handled = handled
        self._metrics = metrics

    async def entries(self, epoch: int) -> int:
        """Put every entry into the new list of a rebuild that has begun; how many records."""
        count = 0
        async with aclosing(self._truth.entries(self._partition)) as batches:
            async for batch in batches:
                entries = {
                    key: None if value is None else self._packed(value) for key, value in batch
                }
                await self._store.add_rebuilt(self._partition, epoch, entries)
                count += len(batch)
        return count

    def _packed(self, value: bytes) -> bytes:
        """A record of the list as Redis has it; one that cannot be read blocks (R25).

        Raises:
            NewerFormat: where a newer version wrote it.
        """
        try:
            return wire_blocks.pack(*wire_blocks.read_stored(value))
        except ValueError:  # pydantic's are
            if wire_blocks.is_newer(value):
                raise NewerFormat(
                    f"{self._topic}[{self._partition}]: a newer version wrote the "
                    "block list: update this worker"
                ) from None
        logger.error("entry.unreadable", extra={"partition": self._partition})
        self._metrics.unreadable.inc()
        return wire_blocks.pack((UNREADABLE,))

    async def handled(self, epoch: int, committed: Mapping[str, int], *, more_ms: int) -> int:
        """Have the list know what was handled lately; how many ids.

        A START delivered again must not lift a later STOP (R22), and brakes must count what was
        replied (R37).

        Args:
            epoch: of the owner.
            committed: source topic to its committed offset.
            more_ms: how much further back to look, as records may have lain there unread.
        """
        count, recount = 0, Recount()
        recent = self._handled.recent(self._partition, committed, more_ms=more_ms)
        async with aclosing(recent) as batches:
            async for recalled in batches:
                handled = [one.handled for one in recalled]
                await self._store.remember(self._partition, epoch, handled)
                count += len(handled)
                for one in recalled:
                    if one.brake:
                        recount.add(one.brake, reply_to(one.handled))
        counted = list(recount.replied.items())
        for start in range(0, len(counted), _AT_ONCE):
            replied = dict(counted[start : start + _AT_ONCE])
            await self._store.remember(self._partition, epoch, (), replied)
        return count
