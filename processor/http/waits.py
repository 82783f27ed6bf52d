"""Limit how many requests of an account wait for lanes, so that others are answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_MOST_EACH = 50
_MOST = 1_000


class Waits:
    """The waiting requests of this process, by account."""

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def one_of(self, account_sid: str) -> Iterator[bool]:
        """Wait as a request of an account; yield False if too many wait already."""
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
