"""How much one may ask of us: the size of a request, how many a second, and what they read."""

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

_KEPT = 10_000  # accounts; one that is forgotten begins with a full bucket again
_BURST_S = 2.0
_MOST_DEBT_S = 30.0  # for which an account is refused at most
_LONGEST_PAUSE_S = 1.0
_LONGEST_REST_S = 0.1  # after a slice that waited for a slow server
_MOST_RESTS = 5  # after a slice, while there is other work
_LATE_S = 0.000_5  # by which a pause ends late where there is
_HELD_S = 0.25  # a refusal
_MOST_HELD = 1_000

LOOKED_AT = 0.01
"""Requests that an entry costs which is passed over where it is kept."""
MADE = 0.05
"""Requests that an entry or a message costs which is read into an answer."""
FETCHED = 1.0
"""Requests that a record costs which is fetched from Kafka by itself."""


class _Refusals:
    """Holds refusals back a little.

    One costs nearly as much as a cheap answer, and who does not heed it asks again at once.
    """

    def __init__(self) -> None:
        self._held = 0

    async def hold(self) -> None:
        """Wait before a refusal is answered, where not too many wait already."""
        if self._held < _MOST_HELD:
            self._held += 1
            try:
                await asyncio.sleep(_HELD_S)
            finally:
                self._held -= 1


class RateLimit:
    """A token bucket for each account, in this process; a request takes one, what it reads more.

    Args:
        a_second: how many requests; 0 lets everything pass.
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
            ApiError: 20429, where it is one too many.
        """
        if not self._a_second:
            return
        left = self._left(whose)
        if left < 1:
            raise too_many(math.ceil((1 - left) / self._a_second))
        self._keep(whose, left - 1)

    async def admit(self, whose: str) -> None:
        """As ``take``; a refusal is held back a little."""
        try:
            self.take(whose)
        except ApiError:
            await self._refusals.hold()
            raise

    def charge(self, whose: str, cost: float) -> None:
        """Count what was read, in requests; what was answered already is not refused any more.

        The debt counts against the requests that come next, for half a minute at most.
        """
        if self._a_second:
            most_debt = self._a_second * _MOST_DEBT_S
            self._keep(whose, max(-most_debt, self._left(whose) - cost))

    async def afford(self, whose: str, cost: float) -> None:
        """Count what is read next; wait where it would leave the account's other requests little.

        A long answer comes at the pace of its account's rate: half the bucket stays for requests.
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
    """Turns for long readings: one at a time of an account, few at a time in all.

    Those of an account wait in a line of their own, so one that asks for many delays itself.

    Args:
        at_once: how many in all.
        most_waiting: of one account.
        within_s: until a turn must be over; waiting for it counts.
    """

    def __init__(self, *, at_once: int, most_waiting: int, within_s: float) -> None:
        self._all = asyncio.Semaphore(at_once)
        self._most_waiting = most_waiting
        self._within_s = within_s
        self._lines: dict[str, _Line] = {}
        self._refusals = _Refusals()

    @asynccontextmanager
    async def turn(self, whose: str) -> AsyncIterator[None]:
        """Wait for a turn, and have it.

        Raises:
            ApiError: 20429, where too many of the account wait already.
            BrokerUnavailable: where it is not over in time.
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
    """Who of one account has a turn or waits for it."""

    lock: asyncio.Lock
    length: int = 0


class OneEach:
    """Lets each account do one of something at a time."""

    def __init__(self) -> None:
        self._busy: set[str] = set()
        self._refusals = _Refusals()

    @asynccontextmanager
    async def of(self, whose: str) -> AsyncIterator[None]:
        """Do it.

        Raises:
            ApiError: 20429, where the account does it already.
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
    """Shares this process between long answers and all others: half of its time at most, in slices.

    A long answer is read slice by slice. One slice is worked at a time, and a pause follows that is
    at least as long, so that a short request waits for one slice at most. While the process is
    behind with other work, the pause is repeated, a few times at most: long answers go on more
    slowly then, and never stop.
    """

    def __init__(self) -> None:
        self._one = asyncio.Lock()

    @asynccontextmanager
    async def one(self, pause: int = 1) -> AsyncIterator[None]:
        """Wait for a slice; what is done in it should take a millisecond or two.

        Args:
            pause: how many times as long as the slice nothing else of this kind is done.
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
    """Refuses a request whose body is larger than the limit, before it is read whole.

    Args:
        app: what comes next.
        max_bytes: of a body.
        by_path: where it may be larger, as it is not read at once.
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
