"""The wall clock, read in one place, and how long everybody waits before a retry."""

from __future__ import annotations

import time

RETRY_S = 1.0  # before a server is asked again that did not answer


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


def now_s() -> float:
    """Seconds since 1970, UTC."""
    return time.time()
