"""Limits of requests: their size, their number a second, and the data they read."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cachetools import LRUCache
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from processor.errors import BrokerUnavailable
from processor.http.errors import ApiError, respond, too_many

_KEPT = 10_000  # accounts; a forgotten account starts with a full bucket
_BURST_S = 2.0
_MOST_DEBT_S = 30.0  # longest time for which an account is refused
_LONGEST_PAUSE_S = 1.0
_LONGEST_REST_S = 0.1  # longest pause, as for a slice that waited for a slow server
_MOST_RESTS = 5  # pauses after a slice, while there is other work
_LATE_S = 0.000_5  # a pause that ends this late means that there is other work
_HELD_S = 0.25  # how long a refusal is held back
_MOST_HELD = 1_000

LOOKED_AT = 0.01
"""Cost, in requests, of an entry that a server skips."""
MADE = 0.05
"""Cost, in requests, of an entry or a message that is read into a response."""
FETCHED = 1.0
"""Cost, in requests, of a record that is fetched from Kafka individually."""


class _Refusals:
    """Delays refusals a little.

    A refusal costs nearly as much as a cheap response, and careless clients retry at once.
    """

    def __init__(self) -> None:
        self._held = 0

    async def hold(self) -> None:
        """Wait before a refusal is sent, unless too many wait already."""
        if self._held < _MOST_HELD:
            self._held += 1
            try:
                await asyncio.sleep(_HELD_S)
            finally:
                self._held -= 1


class RateLimit:
    """A token bucket for each account, in this process: a request takes a token, reads take more.

    Args:
        a_second: requests a second; 0 for no limit.
        clock_s: monotonic.
    """

    def __init__(self, a_second: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._a_second = a_second
        self._clock_s = clock_s
        self._buckets: LRUCache[str, tuple[float, float]] = LRUCache(_KEPT)
        self._refusals = _Refusals()

    def take(self, whose: str) -> None:
        """Count one request.

        Raises:
            ApiError: 20429, if the bucket is empty.
        """
        if not self._a_second:
            return
        left = self._left(whose)
        if left < 1:
            raise too_many(math.ceil((1 - left) / self._a_second))
        self._keep(whose, left - 1)

    async def admit(self, whose: str) -> None:
        """Count one request as ``take`` does, but delay a refusal a little."""
        try:
            self.take(whose)
        except ApiError:
            await self._refusals.hold()
            raise

    def charge(self, whose: str, cost: float) -> None:
        """Charge reads, counted in requests; this never refuses, as the response is made already.

        The debt counts against later requests, for half a minute at most.
        """
        if self._a_second:
            most_debt = self._a_second * _MOST_DEBT_S
            self._keep(whose, max(-most_debt, self._left(whose) - cost))

    async def afford(self, whose: str, cost: float) -> None:
        """Charge the next reads, and wait if they would leave too little for other requests.

        A long response is sent at the account's rate: half the bucket stays for other requests.
        """
        if not self._a_second:
            return
        lacking = self._most / 2 + cost - self._left(whose)
        if lacking > 0:
            await asyncio.sleep(min(_LONGEST_PAUSE_S, lacking / self._a_second))
        self.charge(whose, cost)

    @property
    def _most(self) -> float:
        return max(1.0, self._a_second * _BURST_S)

    def _left(self, whose: str) -> float:
        now = self._clock_s()
        left, since = self._buckets.get(whose, (self._most, now))
        return min(self._most, left + (now - since) * self._a_second)

    def _keep(self, whose: str, left: float) -> None:
        self._buckets[whose] = (left, self._clock_s())


class Turns:
    """Turns for long reads: one at a time for an account, a few at a time in all.

    Each account has its own queue, so an account with many reads delays only itself.

    Args:
        at_once: most turns at a time.
        most_waiting: most reads of an account that wait.
        within_s: time limit of a turn, waiting included.
    """

    def __init__(self, *, at_once: int, most_waiting: int, within_s: float) -> None:
        self._all = asyncio.Semaphore(at_once)
        self._most_waiting = most_waiting
        self._within_s = within_s
        self._lines: dict[str, _Line] = {}
        self._refusals = _Refusals()

    @asynccontextmanager
    async def turn(self, whose: str) -> AsyncIterator[None]:
        """Wait for a turn, and take it.

        Raises:
            ApiError: 20429, if too many reads of the account wait already.
            BrokerUnavailable: the turn is not over in time.
        """
        line = self._lines.setdefault(whose, _Line(asyncio.Lock()))
        if line.length > self._most_waiting:
            await self._refusals.hold()
            raise too_many()
        line.length += 1
        try:
            async with asyncio.timeout(self._within_s), line.lock, self._all:
                yield
        except TimeoutError:
            raise BrokerUnavailable(f"nothing was read within {self._within_s:g} s") from None
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[whose]


@dataclass(slots=True)
class _Line:
    """The turns of an account, running and waiting."""

    lock: asyncio.Lock
    length: int = 0


class OneEach:
    """Lets each account run one operation of a kind at a time."""

    def __init__(self) -> None:
        self._busy: set[str] = set()
        self._refusals = _Refusals()

    @asynccontextmanager
    async def of(self, whose: str) -> AsyncIterator[None]:
        """Run the operation of an account.

        Raises:
            ApiError: 20429, if the account runs it already.
        """
        if whose in self._busy:
            await self._refusals.hold()
            raise too_many()
        self._busy.add(whose)
        try:
            yield
        finally:
            self._busy.discard(whose)


class Slices:
    """Gives long responses half of this process's time at most, in slices.

    A long response is read slice by slice. One slice runs at a time, and a pause of at least the
    same length follows, so that a short request waits for one slice at most. While other work is
    late, the pause is repeated a few times: long responses then slow down, but never stop.
    """

    def __init__(self) -> None:
        self._one = asyncio.Lock()

    @asynccontextmanager
    async def one(self, pause: int = 1) -> AsyncIterator[None]:
        """Wait for a slice; the work in it should take a millisecond or two.

        Args:
            pause: length of the pause after the slice, as a multiple of the slice.
        """
        await self._one.acquire()
        began = time.perf_counter()
        try:
            yield
        finally:
            took_s = time.perf_counter() - began
            self._rest(min(pause * took_s, _LONGEST_REST_S), _MOST_RESTS)

    def _rest(self, rest_s: float, left: int) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + rest_s

        def rested() -> None:
            if left > 1 and loop.time() > until + _LATE_S:
                self._rest(rest_s, left - 1)
            else:
                self._one.release()

        loop.call_at(until, rested)


class SizeLimit:
    """Refuses a request with a body above the limit, before all of it is read.

    Args:
        app: the next application.
        max_bytes: limit of a body.
        by_path: higher limits of paths that read the body in pieces.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, by_path: Mapping[str, int]) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._by_path = by_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._by_path.get(scope["path"], self._max_bytes)
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > most:
            await respond(_too_large(most))(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise _too_large(most)
            return message

        await self._app(scope, counted, send)


def _too_large(most: int) -> ApiError:
    return ApiError(413, 20001, f"The request is larger than {most} bytes")
