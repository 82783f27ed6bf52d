"""When this machine was too busy: this process, and so perhaps a worker, stood still."""

from __future__ import annotations

import asyncio
import time

_PAUSE_S = 0.1
_LONG_S = 0.5


class Lags:
    """Notes each time in which this process did not run."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []  # begin and end, monotonic seconds

    @property
    def counts(self) -> dict[str, int]:
        """How often it did not run."""
        return {"times_this_process_stood_still": len(self.spans)}

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(_PAUSE_S)
            if time.monotonic() - began > _LONG_S:
                self.spans.append((began, time.monotonic()))
