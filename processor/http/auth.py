"""Who asks: HTTP Basic with account sid and token, API key and secret, or as the operator."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.http.errors import ApiError, too_many, unauthenticated
from processor.http.limits import RateLimit
from processor.kafka.accounts_topic import AccountsView
from processor.wire.credentials import hash_secret, is_secret

OPERATOR = "operator"
_ACCOUNT = r"^[A-Za-z0-9_.:-]{1,64}$"
_KEPT = 10_000
_AT_ONCE = 2  # each costs a core some 40 ms
_MOST_WAITING = 100


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, and for which account."""

    account_sid: str | None  # None: the operator, for every account
    actor: str  # an account's or API key's sid, or ``operator``
    operator: bool = False

    @property
    def payer(self) -> str:
        """Whose rate a request counts against: an account's, or an operator's own."""
        return self.actor if self.operator or self.account_sid is None else self.account_sid

    def may_see(self, account_sid: str) -> bool:
        """Whether something of an account is theirs to see."""
        return account_sid == self.account_sid or (self.operator and self.account_sid is None)

    @property
    def account(self) -> str:
        """The account that something new belongs to.

        Raises:
            ApiError: where the operator named none.
        """
        if self.account_sid is None:
            raise ApiError(400, 20001, "The operator must name an account: X-Optout-Account: AC…")
        return self.account_sid


class Credentials:
    """Knows whose user name and password are whose; a slow hash is computed once for each."""

    def __init__(self, settings: Settings, accounts: AccountsView) -> None:
        self._accounts = accounts
        self.limit = RateLimit(settings.api_rate)
        self._key = secrets.token_bytes(32)
        self._verified: dict[bytes, str] = {}  # of user and password, to the hash they fit
        self._nobodys = hash_secret(secrets.token_hex())
        token = settings.operator_token
        self._operators = hash_secret(token.get_secret_value()) if token else self._nobodys
        self._one_of = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def caller(self, user: str, password: str, account: str | None) -> Caller:
        """Who this is.

        Args:
            user: sid of an account or API key, or ``operator``.
            password: token, secret, or the operator's token.
            account: for which the operator acts; others have their own.

        Raises:
            ApiError: 20003 for nobody we know; 20429 for too many requests.
        """
        if user == OPERATOR:
            if not await self._fits(user, password, self._operators):
                raise unauthenticated()
            acting = Caller(account, OPERATOR, operator=True)
            await self.limit.admit(acting.payer)
            return acting
        found = self._accounts.of_key(user) or self._accounts.get(user)
        hashed = self._nobodys
        if found:
            keys = {key.sid: key.secret_hash for key in found.api_keys}
            hashed = keys.get(user, found.token_hash)
        if not await self._fits(user, password, hashed) or found is None:
            raise unauthenticated()
        if found.status != "active":
            raise ApiError(401, 20005, "Account not active")
        known = Caller(found.sid, user)
        await self.limit.admit(known.payer)
        return known

    async def _fits(self, user: str, password: str, hashed: str) -> bool:
        known = hmac.digest(self._key, f"{user}\0{password}".encode(), "sha256")
        if self._verified.get(known) == hashed:
            return True  # a new token has another hash
        if self._waiting >= _MOST_WAITING:
            raise too_many()
        self._waiting += 1
        try:
            async with self._one_of:
                fits = await asyncio.to_thread(is_secret, password, hashed)
        finally:
            self._waiting -= 1
        if fits:
            if len(self._verified) >= _KEPT:
                del self._verified[next(iter(self._verified))]  # the others need no slow hash again
            self._verified[known] = hashed
        return fits


_basic = HTTPBasic(
    auto_error=False,
    description="Account sid and token, API key sid and secret, or `operator` and their token.",
)


async def _caller(
    request: Request,
    given: Annotated[HTTPBasicCredentials | None, Depends(_basic)],
    x_optout_account: Annotated[
        str | None, Header(pattern=_ACCOUNT, description="The account that the operator acts for.")
    ] = None,
) -> Caller:
    if given is None:
        raise unauthenticated()
    backend = request.app.state.backend
    if not backend.configuration.loaded:
        raise BrokerUnavailable("the accounts are not read yet")
    credentials: Credentials = backend.credentials
    return await credentials.caller(given.username, given.password, x_optout_account)


CallerIs = Annotated[Caller, Depends(_caller)]
"""A parameter of every route but the health pages: no request is served without it."""
