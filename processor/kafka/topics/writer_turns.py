"""Fair turns at one shared writer: no caller has more than a part of its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

_PAUSE = 3  # times as long as the work took: a quarter of the writer's time for each
_LONGEST_S = 2.0  # a pause: work that took so long waited for a server


class _Turn:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.not_before_s = 0.0


class Turns:
    """Turns at one writer. Each caller has at most a quarter of its time.

    A frequent caller waits behind itself, so that others wait for at most one of its turns.

    Args:
        clock_s: monotonic.
        sleep: waits for seconds.
    """

    def __init__(
        self,
        clock_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock_s = clock_s
        self._sleep = sleep
        self._writer = asyncio.Lock()
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, whose: str) -> AsyncIterator[None]:
        """Have the writer for oneself."""
        turn = self._turns.setdefault(whose, _Turn())
        async with turn.lock:
            if (wait_s := turn.not_before_s - self._clock_s()) > 0:
                await self._sleep(wait_s)
            async with self._writer:
                began_s = self._clock_s()
                try:
                    yield
                finally:
                    now_s = self._clock_s()
                    pause_s = min(_PAUSE * (now_s - began_s), _LONGEST_S)
                    turn.not_before_s = now_s + pause_s
                    # Kept until then, even if no one waits.
                    asyncio.get_running_loop().call_later(pause_s, id, turn)
