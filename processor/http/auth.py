"""Authentication: HTTP Basic with account sid and token, API key and secret, or as operator."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Annotated, cast

from cachetools import FIFOCache
from fastapi import Depends, Header, Request
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.http.errors import ApiError, too_many, unauthenticated
from processor.http.failures import Failures, Tries, place_of
from processor.http.limits import RateLimit
from processor.kafka.topics.accounts_topic import AccountsView
from processor.kafka.topics.configuration_writer import Configuration
from processor.wire.credentials import hash_secret, is_fast, is_secret
from schemas.account import Account

logger = logging.getLogger(__name__)

_ACCOUNT = r"^[A-Za-z0-9_.:-]{1,64}$"
_KEPT = 10_000
_AT_ONCE = 2  # each takes a core about 40 ms
_MOST_WAITING = 100
_MOST_STRANGERS = 20


@dataclass(frozen=True, slots=True)
class Caller:
    """The user who makes a request, and the account they act for."""

    account_sid: str | None  # None: an operator, for every account
    actor: str  # an account's or API key's sid, ``operator`` or ``operator/<name>``
    operator: bool = False

    @property
    def payer(self) -> str:
        """The account or operator whose rate a request counts against."""
        return self.actor if self.operator or self.account_sid is None else self.account_sid

    def may_see(self, account_sid: str) -> bool:
        """Whether the caller may see the account's data."""
        return account_sid == self.account_sid or (self.operator and self.account_sid is None)

    @property
    def account(self) -> str:
        """The account for a new resource.

        Raises:
            ApiError: the operator did not name an account.
        """
        if self.account_sid is None:
            raise ApiError(400, 20001, "The operator must name an account: X-Optout-Account: AC…")
        return self.account_sid


class _Queue:
    """A bounded queue for slow hashes; it refuses further checks when it is full."""

    def __init__(self, *, at_once: int, most_waiting: int) -> None:
        self._one_of = asyncio.Semaphore(at_once)
        self._most_waiting = most_waiting
        self._waiting = 0

    async def is_secret(self, secret: str, stored: str) -> bool:
        """See ``credentials``.

        Raises:
            ApiError: 20429, if too many checks wait.
        """
        if self._waiting >= self._most_waiting:
            raise too_many()
        self._waiting += 1
        try:
            async with self._one_of:
                return await asyncio.to_thread(is_secret, secret, stored)
        finally:
            self._waiting -= 1


class Credentials:
    """Checks user names and passwords.

    A generated secret is checked at once. A secret that a person chose needs a slow hash, once for
    each address that uses it; whether an address may try is decided first. Existing and unknown
    users wait in separate queues.

    Args:
        settings: of the installation.
        accounts: the accounts with their credentials.
        refused: counts refused logins by reason.
        clock_s: monotonic.
    """

    def __init__(
        self,
        settings: Settings,
        accounts: AccountsView,
        refused: Callable[[str], None] = lambda why: None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._accounts = accounts
        self.limit = RateLimit(settings.api_rate)
        self._refused = refused
        self._tries = Tries(clock_s)
        self._inactive = Failures(clock_s)  # by user; later failures are not logged
        self._key = secrets.token_bytes(32)
        # Of place, user and password, to what they fit.
        self._verified: FIFOCache[bytes, str] = FIFOCache(_KEPT)
        self._under_way: dict[tuple[bytes, str], asyncio.Task[bool]] = {}
        self._nobodys = hash_secret(secrets.token_hex())
        self._operators = {user: hash_secret(token) for user, token in settings.operators().items()}
        self._users = _Queue(at_once=_AT_ONCE, most_waiting=_MOST_WAITING)
        self._strangers = _Queue(at_once=1, most_waiting=_MOST_STRANGERS)

    async def caller(
        self, user: str, password: str, account: str | None, *, address: str = ""
    ) -> Caller:
        """Identify the caller.

        Args:
            user: sid of an account or API key, or ``operator``, ``operator/<name>``.
            password: token, secret, or the operator's token.
            account: the account that an operator acts for; others act for their own.
            address: of the client.

        Raises:
            ApiError: 20003 for wrong credentials; 20429 for too many requests or failed logins.
        """
        found = self._accounts.of_key(user) or self._accounts.get(user)
        stored = self._operators.get(user) or (_stored_of(found, user) if found else None)
        if not await self._fits(user, password, stored, address):
            raise unauthenticated()
        if user in self._operators:
            known = Caller(account, user, operator=True)
        else:
            assert found is not None
            if found.status != "active":
                self._refuse_inactive(user, place_of(address))
                raise ApiError(401, 20005, "Account not active")
            known = Caller(found.sid, user)
        await self.limit.admit(known.payer)
        return known

    async def _fits(self, user: str, password: str, stored: str | None, address: str) -> bool:
        if stored and is_fast(stored) and is_secret(password, stored):
            return True
        place = place_of(address)
        # The place is part of the key: a blocked address must not learn what works elsewhere.
        known = hmac.digest(self._key, f"{place}\0{user}\0{password}".encode(), "sha256")
        if stored and self._verified.get(known) == stored:
            return True  # a new token has another hash
        # A client that opens many connections at once shares one check.
        looked = known, stored or ""
        task = self._under_way.get(looked)
        if task is None:
            task = asyncio.create_task(self._look(user, password, stored, place))
            self._under_way[looked] = task
            task.add_done_callback(partial(self._looked, looked))
        if not await asyncio.shield(task):
            return False
        assert stored
        self._verified[known] = stored
        return True

    def _looked(self, looked: tuple[bytes, str], task: asyncio.Task[bool]) -> None:
        del self._under_way[looked]
        if not task.cancelled():
            task.exception()  # retrieve it, or asyncio logs it if the caller has gone

    async def _look(self, user: str, password: str, stored: str | None, place: str) -> bool:
        """Whether a password fits, if its place and user may try."""
        exists = stored is not None
        if wait_s := self._tries.wait_s(place, user, exists=exists):
            self._refused("limited")
            raise too_many(ceil(wait_s))
        self._tries.begin(place, user, exists=exists)
        fits = False
        try:
            if not (stored and is_fast(stored)):
                queue = self._users if exists else self._strangers
                fits = await queue.is_secret(password, stored or self._nobodys) and exists
        except ApiError:
            self._refused("limited")
            self._tries.take_back(place, user, exists=exists)
            raise
        if fits:
            self._tries.take_back(place, user, exists=exists)
        else:
            # An unknown user name may be a password or a phone number, so do not log it.
            self._refuse("credentials", user if exists else "unknown", place)
        return fits

    def _refuse_inactive(self, user: str, place: str) -> None:
        if self._inactive.wait_s(user):
            self._refused(
                "inactive"
            )  # not logged: its programs may make a thousand requests a second
        else:
            self._inactive.add(user)
            self._refuse("inactive", user, place)

    def _refuse(self, why: str, user: str, place: str) -> None:
        self._refused(why)
        logger.warning("auth.refused", extra={"why": why, "user": user, "address": place})


def _stored_of(account: Account, user: str) -> str:
    """Find the stored hash of an account's token, or of an API key's secret."""
    for key in account.api_keys:
        if key.sid == user:
            return key.secret_mac or key.secret_hash
    return account.token_mac or account.token_hash


_basic = HTTPBasic(
    auto_error=False,
    description="Account sid and token, API key sid and secret, or an operator's name and token.",
)


async def look_at(request: Request) -> None:
    """Authenticate the caller for the request's dependencies, before anything else is read.

    Raises:
        ApiError: 20003 for wrong credentials; 20429 for too many requests.
    """
    account = request.headers.get("x-optout-account")
    if account is None or re.match(_ACCOUNT, account):
        request.state.caller = await _caller(request, await _basic(request), account)
    else:  # the route's parameter check refuses it
        await _caller(request, await _basic(request))


async def _caller(
    request: Request,
    given: Annotated[HTTPBasicCredentials | None, Depends(_basic)],
    x_optout_account: Annotated[
        str | None, Header(pattern=_ACCOUNT, description="The account that the operator acts for.")
    ] = None,
) -> Caller:
    if known := getattr(request.state, "caller", None):
        return cast(Caller, known)
    if given is None:
        raise unauthenticated()
    backend = request.app.state.backend
    if not backend.configuration.loaded:
        raise BrokerUnavailable("the accounts are not read yet")
    credentials: Credentials = backend.credentials
    caller = await credentials.caller(
        given.username, given.password, x_optout_account, address=address_of(request)
    )
    if caller.operator and x_optout_account:
        _check_is_there(backend.configuration, x_optout_account)
    return caller


def _check_is_there(stored: Configuration, account_sid: str) -> None:
    """Refuse an unknown account, which the operator mistyped.

    An installation may have services of accounts that were never created, or no account at all.
    """
    known = stored.accounts.get(account_sid) or not stored.accounts.all()
    if known or any(stored.services.of_account(account_sid)):
        return
    if not any(stored.numbers.of_account(account_sid)):
        raise ApiError(404, 20404, "X-Optout-Account: there is no such account")


def address_of(request: Request) -> str:
    """The client's address: the peer's, or the address a trusted proxy names; empty if unknown."""
    return request.client.host if request.client else ""


CallerIs = Annotated[Caller, Depends(_caller)]
"""A parameter of every route except the health pages: no request is served without it."""
