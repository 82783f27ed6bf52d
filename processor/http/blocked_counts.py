"""How many recipients each account has blocked: the whole list is counted now and then.

No page view reads the list. A count goes through it in slices while other requests are served, and
only if a person looked within a day. It takes a fiftieth of the time at most.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from processor.core.messages import account_of
from processor.errors import RetryableError
from processor.stores.block_list import BlockListInspector
from processor.wire import blocks as wire_blocks

logger = logging.getLogger(__name__)

_AT_ONCE = 1_000  # entries of a slice
_LEAST_S = 60.0  # between two counts
_REST = 50  # times as long as the count took
_WANTED_S = 24 * 3_600.0


@dataclass(frozen=True, slots=True)
class Blocked:
    """A count of recipients; an entry that changes meanwhile may be missed or counted."""

    count: int
    at: datetime  # when the count began


class BlockedCounts:
    """Counts while it runs.

    Args:
        store: the served list.
        partitions: of the list.
        slice_: is entered around each piece of work.
        least_s: between two counts.
    """

    def __init__(
        self,
        store: BlockListInspector,
        partitions: int,
        slice_: Callable[[], AbstractAsyncContextManager[None]],
        least_s: float = _LEAST_S,
    ) -> None:
        self._store = store
        self._partitions = partitions
        self._slice = slice_
        self._least_s = least_s
        self._counts: Counter[str] | None = None
        self._at = datetime.fromtimestamp(0, UTC)
        self._wanted_s = -_WANTED_S
        self._asked = asyncio.Event()
        self.why_not = "it is being counted"  # if there is no count

    def of(self, account_sid: str | None) -> Blocked | None:
        """The recipients that an account has blocked, or any account if None; None: not known."""
        self._wanted_s = time.monotonic()
        self._asked.set()
        if self._counts is None:
            return None
        count = self._counts.total() if account_sid is None else self._counts[account_sid]
        return Blocked(count, self._at)

    async def follow(self) -> None:
        """Count for ever, while people ask."""
        while True:
            if time.monotonic() > self._wanted_s + _WANTED_S:
                self._asked.clear()
                await self._asked.wait()
            began, at = time.monotonic(), datetime.now(UTC)
            try:
                self._counts, self._at = await self._count(), at
            except RetryableError as error:
                self._counts, self.why_not = None, str(error)
                logger.warning("blocked.not_counted", extra={"why": str(error)})
            await asyncio.sleep(max(self._least_s, _REST * (time.monotonic() - began)))

    async def _count(self) -> Counter[str]:
        """Count the entries of every account.

        Raises:
            RetryableError: a part of the list is not whole, or Redis does not answer.
        """
        found: Counter[str] = Counter()
        for partition in range(self._partitions):
            if (await self._store.read(partition, ())).meta.ready is None:
                raise RetryableError("the block list is not whole; its owner rebuilds it")
            cursor, is_begun = 0, False
            while cursor or not is_begun:
                async with self._slice():
                    cursor, entries = await self._store.scan(partition, cursor, about=_AT_ONCE)
                    found.update(
                        account_of(key) for key, value in entries if wire_blocks.has_blocks(value)
                    )
                is_begun = True
        return found
