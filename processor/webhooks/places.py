"""Limits on concurrent requests, by account and by worker, that leave places for other accounts."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

_SLOW_S = 1.0  # a longer wait of the oldest is a jam


class Places:
    """The places of all accounts; an account may take at most as many as stay free for others.

    Args:
        of_account: limit of each account.
        of_all: limit of all accounts together.
    """

    def __init__(self, of_account: int, of_all: int) -> None:
        self._of_account = of_account
        self._of_all = of_all
        self._taken: Counter[str] = Counter()
        self._all_taken = 0
        self._turns: dict[str, deque[asyncio.Future[None]]] = {}  # in the order of their turns

    def is_free(self, account_sid: str) -> bool:
        """Whether the account may take another place now."""
        return self._taken[account_sid] < min(self._of_account, self._of_all - self._all_taken)

    @asynccontextmanager
    async def one_of(self, account_sid: str) -> AsyncIterator[None]:
        """Hold a place, in the order in which the account's requests came."""
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
            if not turn.cancelled():  # cancelled just after it got its place
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
        """Give the account's next request a place, if allowed; the account then goes last."""
        if not self.is_free(account_sid):
            return False
        line = self._turns.pop(account_sid)
        turn = line.popleft()
        if line:
            self._turns[account_sid] = line
        if not turn.done():  # a cancelled request takes no place
            self._take(account_sid)
            turn.set_result(None)
        return True


class Queue:
    """Requests that wait for places, and whether a new request should join them.

    Args:
        most: so many may wait, even if none of them waits long.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._since: dict[object, float] = {}  # the longest wait first
        self._is_jammed = False  # a request timed out, and none was answered since

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._since)

    @property
    def moves(self) -> bool:
        """Whether it is full but moves: a caller that waits outside gets room soon, in order."""
        return len(self) >= self._most and not self._is_jammed and not self._is_slow()

    def turns_away(self, *, is_free: bool) -> bool:
        """Whether a new request would wait too long.

        Args:
            is_free: whether a place is free now.
        """
        if len(self) >= self._most and self._is_slow():
            self._is_jammed = True
        return self._is_jammed and not is_free

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count as waiting."""
        one = object()
        self._since[one] = time.monotonic()
        try:
            yield
        finally:
            del self._since[one]

    def gave_up(self) -> None:
        """A request waited in vain: accept no more until a request is answered."""
        self._is_jammed = True

    def answered(self) -> None:
        """A request was answered: accept requests again."""
        self._is_jammed = False

    def _is_slow(self) -> bool:
        since = next(iter(self._since.values()), None)
        return since is not None and time.monotonic() - since > _SLOW_S
