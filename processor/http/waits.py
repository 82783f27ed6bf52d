"""Requests that wait for what a lane does: so many of an account, so that others are answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_MOST_EACH = 50
_MOST = 1_000


class Waits:
    """Who waits, in this process."""

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def one_of(self, account_sid: str) -> Iterator[bool]:
        """Wait as one of an account's; False where that would be one too many."""
        if self._waiting[account_sid] >= _MOST_EACH or self._waiting.total() >= _MOST:
            yield False
            return
        self._waiting[account_sid] += 1
        try:
            yield True
        finally:
            self._waiting[account_sid] -= 1
            if not self._waiting[account_sid]:
                del self._waiting[account_sid]
