"""Read the entries of an account from the served block list, slice by slice."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from processor.http.auth import Caller
from processor.http.backend import Backend
from processor.http.limits import LOOKED_AT, MADE
from processor.http.recipients import cannot

_T = TypeVar("_T")
_SLICE_S = 0.002  # an entry may have a hundred blocks
_FEW, _MANY = 50, 1_000  # entries read in a slice, if most or few are the account's


async def refuse_partial(backend: Backend, partition: int) -> None:
    """Refuse to answer from a partition with an incomplete list."""
    if (await backend.block_list_store.read(partition, ())).meta.ready is None:
        raise cannot(["the block list is not whole; its owner rebuilds it"])


class Scan(Generic[_T]):
    """Reads and converts an account's entries, and charges the cost.

    A partition's list has the entries of all accounts, so other accounts' entries are skipped.

    Args:
        backend: of the process.
        caller: sees the entries, and is charged.
        make: converts an entry's key and packed blocks.
        few: the number of entries to find.
        pause: after each slice; see ``Slices``.
    """

    def __init__(
        self,
        backend: Backend,
        caller: Caller,
        make: Callable[[str, bytes], Iterable[_T]],
        *,
        few: int = _FEW,
        pause: int = 1,
    ) -> None:
        self._backend = backend
        self._caller = caller
        self._make = make
        self._pause = pause
        self._few = self._about = min(_FEW, few)
        self.looked_at = 0  # entries, approximately
        self.cost = 0.0  # in requests, not charged yet

    async def some(self, partition: int, cursor: int) -> tuple[int, list[_T]]:
        """The results for some entries, and the next cursor; see ``BlockListInspector.scan``."""
        made: list[_T] = []
        async with self._backend.slices.one(self._pause):
            after, entries = await self._backend.block_list_store.scan(
                partition, cursor, about=self._about, account_sid=self._caller.account
            )
        left = deque(entries)
        while left:
            async with self._backend.slices.one(self._pause):
                until = time.perf_counter() + _SLICE_S
                while left and time.perf_counter() < until:
                    made += self._make(*left.popleft())
        self.looked_at += self._about
        self.cost += LOOKED_AT * self._about + MADE * len(entries)
        self._about = self._few if len(entries) > self._few // 2 else _MANY
        return after, made

    async def pay(self) -> None:
        """Charge the reads, and wait if the account's rate does not allow more."""
        cost, self.cost = self.cost, 0.0
        await self._backend.credentials.limit.afford(self._caller.payer, cost)
