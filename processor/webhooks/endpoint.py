"""When an application is called: accounts and endpoints take turns, and failing endpoints pause."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from weakref import WeakValueDictionary

from processor.webhooks.addresses import parts_of
from processor.webhooks.circuit import Circuit, CircuitRules
from processor.webhooks.places import Places, Queue
from processor.webhooks.requests import Answered
from processor.webhooks.retries import Failure, Why

logger = logging.getLogger(__name__)

_QUEUE = 200  # requests that wait for one endpoint, or for one account's places
_PATIENCE_S = 3.0  # until a waiting request goes to the retries, and makes room
_KEPT_OF_ACCOUNT = 250  # idle endpoints that are remembered
_KEPT = 10_000  # of all accounts
_ILL = (Why.CONNECT, Why.READ, Why.SERVER)  # failures that blame the endpoint, not the request

_CIRCUIT_OPEN = Failure(Why.BUSY, 11200, "the endpoint failed too often and is paused")
_SLOW = Failure(Why.BUSY, 11200, "the endpoint is slow: too many requests wait for it")
CROWDED = Failure(Why.BUSY, 11200, "the account's endpoints are slow: too many requests wait")


@dataclass(frozen=True, slots=True)
class Rules:
    """How many requests run at once, and when an endpoint is paused."""

    of_endpoint: int
    of_account: int
    of_all: int
    circuit: CircuitRules


class _Account:
    """The part that an account's endpoints share."""

    def __init__(self, sid: str) -> None:
        self.sid = sid
        self.queue = Queue(_QUEUE)
        self.endpoints: OrderedDict[tuple[str, str], Endpoint] = OrderedDict()  # by last use


class Endpoint:
    """One account's requests to one origin."""

    def __init__(
        self, account: _Account, places: Places, rules: Rules, counts: Counter[str]
    ) -> None:
        self._account = account
        self._all_places = places
        self._rules = rules
        self._counts = counts
        self._places = asyncio.Semaphore(rules.of_endpoint)
        self._lines: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._queue = Queue(_QUEUE)
        self._circuit = Circuit()
        self._in_hand = 0  # requests that wait or run

    @property
    def in_hand(self) -> int:
        """How many requests wait or run."""
        return self._in_hand

    @property
    def idle(self) -> bool:
        """Whether it has no requests."""
        return not self._in_hand

    @property
    def is_failing(self) -> bool:
        """Whether its circuit is open, or a single request probes it."""
        return self._circuit.open_until_s is not None

    @property
    def pause_s(self) -> float:
        """How long its pause still lasts."""
        until = self._circuit.open_until_s
        return 0.0 if until is None else max(0.0, until - time.monotonic())

    @property
    def has_room(self) -> bool:
        """Whether to add a request now; False if the queue is full but moving: wait for room."""
        moves = self._queue.moves or self._account.queue.moves
        return not (moves and self._lets_through())

    async def run(
        self, line: str, ask: Callable[[], Awaitable[Answered | Failure]]
    ) -> Answered | Failure:
        """Make a request when its turn comes; fail at once if that would take too long.

        Args:
            line: requests of one line run one after another, in the order they came.
            ask: makes the request.
        """
        self._in_hand += 1
        try:
            return await self._run(line, ask)
        finally:
            self._in_hand -= 1

    async def _run(
        self, line: str, ask: Callable[[], Awaitable[Answered | Failure]]
    ) -> Answered | Failure:
        mine, account = self._queue, self._account
        if not self._lets_through():
            return _CIRCUIT_OPEN
        if mine.turns_away(is_free=not self._places.locked()):
            return _SLOW
        if account.queue.turns_away(is_free=self._all_places.is_free(account.sid)):
            return CROWDED
        lock = self._lines.setdefault(line, asyncio.Lock())
        waits_in = mine
        async with AsyncExitStack() as turn:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    with mine.waiting():
                        await turn.enter_async_context(lock)
                        await turn.enter_async_context(self._places)
                    waits_in = account.queue
                    with account.queue.waiting():
                        await turn.enter_async_context(self._all_places.one_of(account.sid))
            except TimeoutError:
                waits_in.gave_up()
                return _SLOW if waits_in is mine else CROWDED
            return await self._ask(ask) if self._lets_through() else _CIRCUIT_OPEN

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
                logger.warning("circuit.opened", extra={"account": self._account.sid})
        else:
            self._circuit = self._circuit.succeeded()
            self._queue.answered()
            self._account.queue.answered()
        return outcome

    def _lets_through(self) -> bool:
        return self._circuit.lets_through(time.monotonic())


class Endpoints:
    """All known endpoints; accounts share none, so failures of one account affect no other."""

    def __init__(self, rules: Rules, counts: Counter[str]) -> None:
        self._rules = rules
        self._counts = counts
        self._places = Places(rules.of_account, rules.of_all)
        self._accounts: OrderedDict[str, _Account] = OrderedDict()  # by use
        self._known = 0

    def __len__(self) -> int:
        """How many endpoints are remembered."""
        return self._known

    @property
    def accounts(self) -> int:
        """How many accounts have a remembered endpoint."""
        return len(self._accounts)

    def of(self, account_sid: str, url: str) -> Endpoint:
        """The endpoint of a URL; any text is accepted."""
        account = self._accounts.get(account_sid)
        if account is None:
            account = self._accounts[account_sid] = _Account(account_sid)
        self._accounts.move_to_end(account_sid)
        key = _origin(url)
        found = account.endpoints.get(key)
        if found is None:
            self._make_room(account)
            self._accounts[account_sid] = account  # removed if its last endpoint was forgotten
            found = Endpoint(account, self._places, self._rules, self._counts)
            account.endpoints[key] = found
            self._known += 1
        account.endpoints.move_to_end(key)
        return found

    def known(self, account_sid: str, url: str) -> Endpoint | None:
        """The endpoint of a URL if it is remembered; the order of use stays as it is."""
        account = self._accounts.get(account_sid)
        return account.endpoints.get(_origin(url)) if account else None

    def _make_room(self, account: _Account) -> None:
        """Forget the endpoints that were idle longest: the account's own before those of others."""
        while len(account.endpoints) >= _KEPT_OF_ACCOUNT and self._forget(account):
            pass
        while self._known >= _KEPT and any(map(self._forget, [*self._accounts.values()])):
            pass

    def _forget(self, account: _Account) -> bool:
        """Forget an idle endpoint, and an account without endpoints; False if all are busy."""
        for key, endpoint in account.endpoints.items():
            if endpoint.idle:
                del account.endpoints[key]
                self._known -= 1
                if not account.endpoints:
                    del self._accounts[account.sid]
                return True
        return False


def _origin(url: str) -> tuple[str, str]:
    parts = parts_of(url)
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()
