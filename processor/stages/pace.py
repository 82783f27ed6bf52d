"""The pace of sends to a carrier: a token bucket; each worker has a share of its tokens."""

from __future__ import annotations

import time
from collections.abc import Callable

_BURST_S = 0.25


class Pace:
    """Limits the messages a second to one carrier, in this process.

    Args:
        share: called for the part of all partitions that this process has, 0 to 1.
        clock_s: monotonic.
    """

    def __init__(
        self, share: Callable[[], float], clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._share = share
        self._clock_s = clock_s
        self._tokens = 1.0
        self._at_s = clock_s()

    def is_free(self, a_second: float | None) -> bool:
        """Whether a message may go now.

        Args:
            a_second: the carrier's limit for all processes; None: it has none.
        """
        return a_second is None or self._left(a_second) >= 1

    def take(self, a_second: float | None) -> float:
        """Count a message, and return the seconds to wait before it goes."""
        if a_second is None:
            return 0.0
        self._tokens = self._left(a_second) - 1
        return max(0.0, -self._tokens / self._rate(a_second))

    def _left(self, a_second: float) -> float:
        now_s = self._clock_s()
        rate = self._rate(a_second)
        most = max(1.0, rate * _BURST_S)
        self._tokens = min(most, self._tokens + rate * (now_s - self._at_s))
        self._at_s = now_s
        return self._tokens

    def _rate(self, a_second: float) -> float:
        return max(a_second * self._share(), 1e-3)
