"""Loads a web server: requests whose bytes are made before, over connections that stay open.

It costs little, as it shares the machine with what it measures: no library parses the responses.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle

from processor.carriers.adapter import Request
from tests.carriers import HOST

_END = b"\r\n\r\n"
_OK = b"HTTP/1.1 200"
_LENGTH = re.compile(rb"(?i)content-length: (\d+)")
_DEADLINE_S = 30.0


def bytes_of(request: Request) -> bytes:
    """A request as it travels."""
    path = request.url.removeprefix(HOST)
    lines = [f"{request.method} {path} HTTP/1.1", "host: sms.example.com"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    lines += [f"content-length: {len(request.body)}", "", ""]
    return "\r\n".join(lines).encode() + request.body


class Asker(asyncio.Protocol):
    """A connection that makes one request at a time.

    Args:
        answered: called with it and the whole response; None: the connection ended.
    """

    def __init__(self, answered: Callable[[Asker, bytes | None], None]) -> None:
        self._answered = answered
        self._came = b""
        self._transport: asyncio.Transport | None = None
        self.since_s = 0.0  # when its request was due

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        came = self._came = self._came + data if self._came else data
        end = came.find(_END)
        if end < 0:
            return
        length = _LENGTH.search(came, 0, end)
        if len(came) >= end + len(_END) + (int(length[1]) if length else 0):
            self._came = b""
            self._answered(self, came)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._answered(self, None)

    def ask(self, request: bytes, since_s: float = 0.0) -> None:
        """Make a request that was due at a time."""
        assert self._transport is not None
        self.since_s = since_s
        self._transport.write(request)

    def close(self) -> None:
        """End the connection."""
        self._answered = lambda asker, response: None
        if self._transport is not None:
            self._transport.close()


class Load:
    """Connections to a web server, and what they were answered.

    Args:
        requests: used in turn.
    """

    def __init__(self, requests: Sequence[bytes]) -> None:
        self._requests = cycle(requests)
        self._askers: list[Asker] = []
        self._then: Callable[[Asker], None] = self._rest
        self._free: deque[Asker] = deque()
        self._all_answered = asyncio.Event()
        self._wrong: bytes | None = None
        self.answered = 0

    @asynccontextmanager
    async def connected(self, place: tuple[str, int], count: int) -> AsyncIterator[None]:
        """Keep connections open."""
        loop = asyncio.get_running_loop()
        self._wrong = None
        try:
            for _ in range(count):
                _, asker = await loop.create_connection(lambda: Asker(self._take), *place)
                self._askers.append(asker)
            self._free.extend(self._askers)
            yield
        finally:
            for asker in self._askers:
                asker.close()
            self._askers, self._free = [], deque()

    def _take(self, asker: Asker, response: bytes | None) -> None:
        if response is None or not response.startswith(_OK):
            self._wrong = response or b"the connection ended"
            self._all_answered.set()
            return
        self.answered += 1
        self._then(asker)

    def _rest(self, asker: Asker) -> None:
        self._free.append(asker)
        if len(self._free) == len(self._askers):
            self._all_answered.set()

    async def _settle(self) -> None:
        """Wait until every request is answered.

        Raises:
            RuntimeError: a response is not 200.
        """
        if self._wrong is None and len(self._free) < len(self._askers):
            self._all_answered.clear()
            await asyncio.wait_for(self._all_answered.wait(), _DEADLINE_S)
        if self._wrong is not None:
            raise RuntimeError(self._wrong.decode("utf-8", "replace"))

    async def rate(self, seconds: float) -> float:
        """Requests a second that are answered when each connection asks again at once."""
        deadline_s = time.perf_counter() + seconds

        def again(asker: Asker) -> None:
            if time.perf_counter() < deadline_s:
                asker.ask(next(self._requests))
            else:
                self._rest(asker)

        began_s, before, self._then = time.perf_counter(), self.answered, again
        askers, self._free = list(self._free), deque()
        for asker in askers:
            asker.ask(next(self._requests))
        await asyncio.sleep(seconds)
        await self._settle()
        return (self.answered - before) / (time.perf_counter() - began_s)

    async def times(self, pace: float, seconds: float) -> list[float]:
        """The seconds from when each request was due to its answer, at a fixed rate."""
        found: list[float] = []
        late: deque[float] = deque()

        def timed(asker: Asker) -> None:
            found.append(time.perf_counter() - asker.since_s)
            if late:
                asker.ask(next(self._requests), late.popleft())
            else:
                self._rest(asker)

        self._then = timed
        for due_s in _due(pace, seconds):
            if (wait_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(wait_s)
            if self._free:
                self._free.popleft().ask(next(self._requests), due_s)
            else:
                late.append(due_s)
        await self._settle()
        return found


def _due(pace: float, seconds: float) -> Iterator[float]:
    began_s = time.perf_counter()
    return (began_s + number / pace for number in range(int(pace * seconds)))
