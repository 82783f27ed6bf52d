"""A block list whose round trips are counted and timed."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

from processor.core.blocks import ConfigView, Mark
from processor.core.brakes import Brake, Replies
from processor.core.identity import Handled
from processor.metrics import Metrics, StoreMetrics
from processor.stores.block_list import NO_REPLIES, BatchWrite, BlockListStore, Meta, Snapshot

_T = TypeVar("_T")
_OPERATIONS = ("claim", "settle", "read", "write", "beat", "rebuild")


class MeasuredBlockList:
    """The list of a reader or an owner; passes everything on to a store.

    Args:
        store: does it.
        metrics: of the process.
        role: the role that uses it.
    """

    def __init__(self, store: BlockListStore, metrics: Metrics, role: str) -> None:
        self._store = store
        self._metrics = StoreMetrics(metrics, role, _OPERATIONS)

    async def _measured(self, operation: str, asked: Awaitable[_T]) -> _T:
        began, failed = time.perf_counter(), None
        try:
            return await asked
        except Exception as error:
            failed = error
            raise
        finally:
            self._metrics.asked(operation, time.perf_counter() - began, failed)

    async def claim(self, partition: int, *, at_least: int) -> Meta:
        """See ``BlockListOwner``."""
        return await self._measured("claim", self._store.claim(partition, at_least=at_least))

    async def settle(
        self,
        partition: int,
        epoch: int,
        *,
        undo: bool,
        whole: bool,
        config: ConfigView | None = None,
    ) -> bool:
        """See ``BlockListOwner``."""
        settle = self._store.settle(partition, epoch, undo=undo, whole=whole, config=config)
        return await self._measured("settle", settle)

    async def read(
        self,
        partition: int,
        keys: Sequence[str],
        ids: Sequence[Handled] = (),
        brakes: Sequence[Brake] = (),
    ) -> Snapshot:
        """See ``BlockListOwner``."""
        return await self._measured("read", self._store.read(partition, keys, ids, brakes))

    async def read_many(self, keys: Mapping[int, Sequence[str]]) -> Mapping[int, Snapshot]:
        """See ``BlockListReader``."""
        return await self._measured("read", self._store.read_many(keys))

    async def write(self, partition: int, batch: BatchWrite) -> None:
        """See ``BlockListOwner``."""
        await self._measured("write", self._store.write(partition, batch))

    async def beat(self, partition: int, epoch: int, committed: Mark) -> Meta:
        """See ``BlockListOwner``."""
        return await self._measured("beat", self._store.beat(partition, epoch, committed))

    async def begin_rebuild(self, partition: int, epoch: int) -> None:
        """See ``BlockListOwner``."""
        await self._measured("rebuild", self._store.begin_rebuild(partition, epoch))

    async def add_rebuilt(
        self, partition: int, epoch: int, entries: Mapping[str, bytes | None]
    ) -> None:
        """See ``BlockListOwner``."""
        await self._measured("rebuild", self._store.add_rebuilt(partition, epoch, entries))

    async def remember(
        self,
        partition: int,
        epoch: int,
        handled: Sequence[Handled],
        replied: Mapping[bytes, Replies] = NO_REPLIES,
    ) -> None:
        """See ``BlockListOwner``."""
        remember = self._store.remember(partition, epoch, handled, replied)
        await self._measured("rebuild", remember)

    async def finish_rebuild(
        self,
        partition: int,
        epoch: int,
        *,
        mark: Mark,
        ready: str,
        partitions: int,
        config: ConfigView | None = None,
    ) -> None:
        """See ``BlockListOwner``."""
        await self._measured(
            "rebuild",
            self._store.finish_rebuild(
                partition, epoch, mark=mark, ready=ready, partitions=partitions, config=config
            ),
        )

    async def declare_lost(self, partition: int) -> None:
        """See ``BlockListOwner``."""
        await self._store.declare_lost(partition)

    async def ask_for_rebuild(self, partition: int) -> None:
        """See ``BlockListReader``."""
        await self._store.ask_for_rebuild(partition)
