"""When an application is asked: some requests at once, one a recipient, none while it is down."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from processor.core.circuit import Circuit, CircuitRules
from processor.core.requests import Answered
from processor.core.retries import Failure, Why

logger = logging.getLogger(__name__)

_QUEUE = 200  # requests that wait for one endpoint
_SLOW_S = 1.0  # the longest of them, where the endpoint is no slow one
_PATIENCE_S = 3.0  # until one that waits goes to the retries, and makes room
_POLL_S = 0.01
_KEPT = 10_000  # endpoints that are remembered, though nothing is asked of them
_ILL = (Why.CONNECT, Why.READ, Why.SERVER)  # failures that say the endpoint is, not the request


@dataclass(frozen=True, slots=True)
class Rules:
    """How endpoints are treated."""

    concurrency: int  # requests at once to one of them
    circuit: CircuitRules


class Endpoint:
    """One account's requests to one origin."""

    def __init__(self, host: str, rules: Rules, counts: Counter[str]) -> None:
        self._host = host
        self._rules = rules
        self._counts = counts
        self._places = asyncio.Semaphore(rules.concurrency)
        self._lines: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting: dict[object, float] = {}  # since when, the longest first
        self._circuit = Circuit()
        self._hangs = False  # too much waited, and nothing was answered since

    @property
    def idle(self) -> bool:
        """Whether there is nothing to remember of it."""
        return not self._waiting and not self._lines and self._circuit == Circuit()

    @property
    def pause_s(self) -> float:
        """How long it is left alone from now on."""
        until = self._circuit.open_until_s
        return 0.0 if until is None else max(0.0, until - time.monotonic())

    async def wait_for_room(self) -> None:
        """Wait where many wait and none waits long: that is over soon, and keeps their order."""
        while (
            len(self._waiting) >= _QUEUE
            and not self._hangs
            and not self._slow()
            and self._lets_through()
        ):
            await asyncio.sleep(_POLL_S)

    async def run(
        self, line: str, ask: Callable[[], Awaitable[Answered | Failure]]
    ) -> Answered | Failure:
        """Ask when it is one's turn; a failure at once where that would be too long.

        Args:
            line: whose requests are made one after another, in the order they came.
            ask: makes the request.
        """
        if not self._lets_through():
            return _CIRCUIT_OPEN
        if self._hangs and self._places.locked():
            return _SLOW
        if len(self._waiting) >= _QUEUE and self._slow():
            self._hangs = True
            return _SLOW
        lock = self._lines.setdefault(line, asyncio.Lock())
        place = object()
        self._waiting[place] = time.monotonic()
        try:
            async with AsyncExitStack() as turn:
                try:
                    async with asyncio.timeout(_PATIENCE_S):
                        await turn.enter_async_context(lock)
                        await turn.enter_async_context(self._places)
                except TimeoutError:
                    self._hangs = True
                    return _SLOW
                del self._waiting[place]
                return await self._ask(ask) if self._lets_through() else _CIRCUIT_OPEN
        finally:
            self._waiting.pop(place, None)

    async def _ask(self, ask: Callable[[], Awaitable[Answered | Failure]]) -> Answered | Failure:
        self._circuit = self._circuit.begun()
        try:
            outcome = await ask()
        except BaseException:
            self._circuit = self._circuit.given_up()
            raise
        if isinstance(outcome, Failure) and outcome.why in _ILL:
            was, rules = self._circuit, self._rules.circuit
            self._circuit = was.failed(time.monotonic(), rules)
            if was.open_until_s is None and self._circuit.open_until_s is not None:
                self._counts["circuit_opened"] += 1
                logger.warning("circuit.opened", extra={"host": self._host})
        else:
            self._circuit = self._circuit.succeeded()
            self._hangs = False
        return outcome

    def _lets_through(self) -> bool:
        return self._circuit.lets_through(time.monotonic())

    def _slow(self) -> bool:
        since = next(iter(self._waiting.values()), None)
        return since is not None and time.monotonic() - since > _SLOW_S


_CIRCUIT_OPEN = Failure(Why.BUSY, 11200, "the endpoint failed too often and is left alone a while")
_SLOW = Failure(Why.BUSY, 11200, "the endpoint is slow: too much waits for it")


class Endpoints:
    """Every endpoint that is asked; accounts share none, as one's failures are no other's."""

    def __init__(self, rules: Rules, counts: Counter[str]) -> None:
        self._rules = rules
        self._counts = counts
        self._known: dict[tuple[str, str, str], Endpoint] = {}

    def of(self, account_sid: str, url: str) -> Endpoint:
        """The endpoint of a URL."""
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2].lower()
        key = (account_sid, parts.scheme, host)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known = {key: one for key, one in self._known.items() if not one.idle}
            found = self._known[key] = Endpoint(host, self._rules, self._counts)
        return found
