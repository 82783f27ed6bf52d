"""Reading a partition's served block list only where it can be trusted (R25)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from processor.core.blocks import NO_MARK, ConfigView, Mark
from processor.errors import StoreUnavailable
from processor.stores.block_list import FORMAT, BlockListReader, Meta, Snapshot

logger = logging.getLogger(__name__)

_WAIT_S = (0.02, 1.0)


class ListTruth(Protocol):
    """The durable truth of the list; raises ``BrokerUnavailable`` where it cannot answer."""

    async def id(self) -> str:
        """The topic's id; a list built from another topic is lost."""
        ...

    async def settled_mark(self, partition: int) -> Mark:
        """The mark of a partition's last committed record, once all written now is settled."""
        ...


class Distrust(NamedTuple):
    """Why the list cannot be trusted now."""

    reason: str  # one of a few words, to count by
    why: str
    level: int = logging.WARNING


class TrustedList:
    """One partition of the block list, as one reader has seen it so far.

    Args:
        partition: which.
        partitions: how many the topics have.
        store: the served list.
        truth: its durable truth.
        max_staleness_s: wait also where the list's owner was not heard for so long; None: never.
        waited: called after each wait with the reason, in a word, and the seconds.
        config: the configuration that the reader judges by, as far as the position given if that
            was read; None: by none.
    """

    def __init__(
        self,
        partition: int,
        *,
        partitions: int,
        store: BlockListReader,
        truth: ListTruth,
        max_staleness_s: float | None = None,
        waited: Callable[[str, float], None] = lambda reason, seconds: None,
        config: Callable[[int], ConfigView | None] = lambda position: None,
    ) -> None:
        self._partition = partition
        self._partitions = partitions
        self._store = store
        self._truth = truth
        self._max_staleness_s = max_staleness_s
        self._waited = waited
        self._config = config
        self.mark = NO_MARK  # the highest seen: the list can only go on from there
        self._topic_id = ""
        self._trusted_server: bytes | None = None
        self.waits_for: str | None = None  # why it cannot be trusted now

    async def learn(self) -> None:
        """Learn which list to trust, whatever was known before."""
        self.waits_for = None
        self._topic_id = await self._truth.id()
        self._trusted_server = None

    async def look(self, keys: Sequence[str]) -> Snapshot:
        """Look at entries; wait as long as the list cannot be trusted, as no one may judge by less.

        Args:
            keys: entry keys of this partition.
        """
        wait_s = _WAIT_S[0]
        while True:
            began = time.monotonic()
            known = self.mark  # others may look meanwhile, and see later marks
            try:
                found = await self._store.read(self._partition, keys)
            except StoreUnavailable as error:
                distrust: Distrust | None = Distrust("redis", str(error))
            else:
                if self.accepts(found, known):
                    return found
                if await self._learned(found):
                    continue
                distrust = self._unfit(found.meta, known)
            if distrust is None:
                continue  # another look made it fit
            self.waits_for = why = distrust.why
            if wait_s == _WAIT_S[0]:
                extra = {"partition": self._partition, "why": why}
                logger.log(distrust.level, "list.distrusted", extra=extra)
            await asyncio.sleep(wait_s)
            self._waited(distrust.reason, time.monotonic() - began)
            wait_s = min(2 * wait_s, _WAIT_S[1])

    def accepts(self, found: Snapshot, known: Mark) -> bool:
        """Whether a look can be trusted by what is known so far; if so, it is known from here on.

        Args:
            found: the look.
            known: ``mark`` as it was before the look.
        """
        if found.server != self._trusted_server or self._unfit(found.meta, known):
            return False
        self.mark = max(self.mark, found.meta.mark)
        self.waits_for = None
        return True

    async def _learned(self, found: Snapshot) -> bool:
        """Ask the durable truth about what is new; whether there was anything."""
        if found.server != self._trusted_server:
            # Perhaps another server than before: the next look must hold all that was committed.
            # Batches in hand are safe: their owner checks that server before it commits.
            self.waits_for = "the last write to the block list is being settled"
            try:
                self.mark = max(self.mark, await self._settled())
            finally:
                self.waits_for = None
            self._trusted_server = found.server
            return True
        if found.meta.ready in (None, self._topic_id):
            return False
        before, self._topic_id = self._topic_id, await self._truth.id()  # created again since?
        return before != self._topic_id

    async def _settled(self) -> Mark:
        """The truth's last mark; a wait for a transaction of the owner is reported as it lasts."""
        asked = asyncio.ensure_future(self._truth.settled_mark(self._partition))
        try:
            while not asked.done():
                began = time.monotonic()
                await asyncio.wait((asked,), timeout=_WAIT_S[1])
                self._waited("learning", time.monotonic() - began)
            return asked.result()
        finally:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    def _unfit(self, meta: Meta, known: Mark) -> Distrust | None:
        if meta.format.least > FORMAT.written:
            return Distrust(
                "format",
                f"a newer version wrote the block list (format {meta.format.written}, this version "
                f"reads {FORMAT.written}): update this process",
                logging.ERROR,
            )
        if meta.ready != self._topic_id:
            # Never seen whole, and nothing in its topic: an installation that starts at all.
            new = meta.ready is None and known == NO_MARK
            why = "the block list is not whole; its owner rebuilds it"
            return Distrust("not_whole", why, logging.INFO if new else logging.WARNING)
        if meta.partitions != self._partitions:
            return Distrust(
                "partitions", f"the block list was built for {meta.partitions} partitions"
            )
        if meta.mark < known:
            return Distrust("lost_writes", "Redis lost writes; the owner of the list rebuilds it")
        if behind := self._behind(meta.config):
            return behind
        limit_s, unheard_ms = self._max_staleness_s, meta.unheard_ms
        if limit_s is not None and (unheard_ms is None or unheard_ms > 1000 * limit_s):
            # Perhaps a master that was cut off, while the owner writes to another server.
            return Distrust(
                "unheard", f"the owner of the block list was not heard for {limit_s:g} s"
            )
        return None

    def _behind(self, decided_under: ConfigView | None) -> Distrust | None:
        """Blocks may be of services whose senders this reader does not know yet (R21)."""
        if decided_under is None or (ours := self._config(decided_under.position)) is None:
            return None
        if ours.topic_id != decided_under.topic_id:
            return Distrust(
                "configuration",
                "the block list was decided under another topic of services than this process "
                "reads: `messaging-services` was created again; restart this process",
                logging.ERROR,
            )
        if ours.position < decided_under.position:
            return Distrust(
                "configuration",
                "the configuration is read up to what the block list was decided under",
                logging.INFO,
            )
        return None
