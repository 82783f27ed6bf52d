"""Requests at once: of each account, and of this worker. Nobody takes the last places of others."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

_SLOW_S = 1.0  # the longest wait of those that wait, where there is no jam


class Places:
    """The places of all accounts; one may have as many as are free, so that others find some.

    Args:
        of_account: the most that one account has.
        of_all: the most that there are.
    """

    def __init__(self, of_account: int, of_all: int) -> None:
        self._of_account = of_account
        self._of_all = of_all
        self._taken: Counter[str] = Counter()
        self._all_taken = 0
        self._turns: dict[str, deque[asyncio.Future[None]]] = {}  # accounts in turn

    def is_free(self, account_sid: str) -> bool:
        """Whether the account may have one more now."""
        return self._taken[account_sid] < min(self._of_account, self._of_all - self._all_taken)

    @asynccontextmanager
    async def one_of(self, account_sid: str) -> AsyncIterator[None]:
        """Have a place, in the order in which the account's requests came."""
        if self.is_free(account_sid) and account_sid not in self._turns:
            self._take(account_sid)
        else:
            await self._turn(account_sid)
        try:
            yield
        finally:
            self._give_back(account_sid)

    async def _turn(self, account_sid: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        line = self._turns.setdefault(account_sid, deque())
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it came at the moment it was given up
                self._give_back(account_sid)
            elif turn in line:
                line.remove(turn)
                if not line:
                    del self._turns[account_sid]
            raise

    def _take(self, account_sid: str) -> None:
        self._taken[account_sid] += 1
        self._all_taken += 1

    def _give_back(self, account_sid: str) -> None:
        self._taken[account_sid] -= 1
        if not self._taken[account_sid]:
            del self._taken[account_sid]
        self._all_taken -= 1
        while any(self._hand_out(one) for one in list(self._turns)):
            pass

    def _hand_out(self, account_sid: str) -> bool:
        """Give the account's next request a place, if it may have one; then others come first."""
        if not self.is_free(account_sid):
            return False
        line = self._turns.pop(account_sid)
        turn = line.popleft()
        if line:
            self._turns[account_sid] = line
        if not turn.done():  # one that was given up takes no place
            self._take(account_sid)
            turn.set_result(None)
        return True


class Queue:
    """Requests that wait for places, and whether it is worth while to join them.

    Args:
        most: so many may wait even if none of them waits long.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._since: dict[object, float] = {}  # the longest first
        self._is_jammed = False  # one waited in vain, and nothing was answered since

    def __len__(self) -> int:
        """How many wait."""
        return len(self._since)

    @property
    def moves(self) -> bool:
        """Whether it is full and goes on: who waits outside finds room soon, and keeps order."""
        return len(self) >= self._most and not self._is_jammed and not self._is_slow()

    def turns_away(self, *, is_free: bool) -> bool:
        """Whether who comes now would wait too long.

        Args:
            is_free: whether there is a place at once.
        """
        if len(self) >= self._most and self._is_slow():
            self._is_jammed = True
        return self._is_jammed and not is_free

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Be one of them."""
        one = object()
        self._since[one] = time.monotonic()
        try:
            yield
        finally:
            del self._since[one]

    def gave_up(self) -> None:
        """One waited in vain: nobody joins until a request is answered."""
        self._is_jammed = True

    def answered(self) -> None:
        """A request was answered: there is hope again."""
        self._is_jammed = False

    def _is_slow(self) -> bool:
        since = next(iter(self._since.values()), None)
        return since is not None and time.monotonic() - since > _SLOW_S
