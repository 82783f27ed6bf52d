"""Who is signed in: a signed cookie that no script reads, and a token in every form.

Any process serves any page: which sessions are open is kept in Redis, and one whose end or
beginning cannot be told is not believed. A new account token ends its sessions: what is signed with
is made of it too.
"""

from __future__ import annotations

import hmac
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec
from fastapi import Depends, Request, Response
from fastapi.params import Depends as Dependency

from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.http.auth import Caller
from processor.http.errors import ApiError
from processor.http.links import url_of
from processor.kafka.topics.accounts_topic import AccountsView
from processor.stores.sessions import OpenSessions
from processor.wire.credentials import seal, unseal

COOKIE = "optout_session"
PATH = "/console"
TIMEOUT_S = 8 * 3_600
_BEFORE = "optout_before"  # binds the sign-in form to its browser


class SignedOut(Exception):
    """Nobody is signed in, or not any more."""


class CsrfRefused(ApiError):
    """A form that is not one of ours, or of another session."""

    def __init__(self) -> None:
        super().__init__(
            403, 20003, "This form was not sent from a page of yours. Load the page, and try again."
        )


@dataclass(frozen=True, slots=True)
class Session:
    """What the cookie says."""

    sid: str
    account_sid: str | None  # None: the operator, who sees every account
    actor: str
    csrf: str
    until_s: float

    @property
    def owner(self) -> str:
        """Whose sessions are counted together: the account's, or the operator's."""
        return self.account_sid or self.actor

    @property
    def caller(self) -> Caller:
        """Who asks, as the API knows them."""
        return Caller(self.account_sid, self.actor, operator=self.account_sid is None)


class Sessions:
    """Opens, reads and ends sessions.

    Args:
        settings: its first secret key signs, all verify; without one a key of this process does.
        accounts: whose tokens sessions depend on.
        open_: where all processes keep which are open.
        clock_s: since 1970.
    """

    def __init__(
        self,
        settings: Settings,
        accounts: AccountsView,
        open_: OpenSessions,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        keys = settings.sealing_keys() or (secrets.token_bytes(32),)
        self._keys = [hmac.digest(key, b"console", "sha256") for key in keys]
        self._sealing = [hmac.digest(key, b"addresses", "sha256") for key in self._keys]
        self._operators = settings.operators()
        self._accounts = accounts
        self._open = open_
        self._clock_s = clock_s

    async def open(self, caller: Caller) -> str:
        """The cookie of a session that begins now.

        Raises:
            StoreUnavailable: it could not be opened.
        """
        session = Session(
            secrets.token_urlsafe(16),
            None if caller.operator else caller.account_sid,
            caller.actor,
            secrets.token_urlsafe(24),
            self._clock_s() + TIMEOUT_S,
        )
        payload = urlsafe_b64encode(msgspec.json.encode(session)).decode()
        credential = self._credential(session)
        if credential is None:
            raise SignedOut
        await self._open.open(
            session.owner,
            session.sid,
            until_ms=round(1000 * session.until_s),
            for_ms=1000 * TIMEOUT_S,
        )
        return f"{payload}.{_signature(self._keys[0], payload, credential)}"

    async def end(self, session: Session) -> None:
        """End a session, for every process.

        Raises:
            StoreUnavailable: it may not have ended.
        """
        await self._open.end(session.owner, session.sid)

    async def read(self, cookie: str) -> Session:
        """The session of a cookie.

        Raises:
            SignedOut: where it is not ours, is over, or its credentials are no longer good.
            StoreUnavailable: where nobody can tell whether it was ended.
        """
        session = self._signed(cookie)
        if not await self._open.is_open(session.owner, session.sid):
            raise SignedOut
        return session

    def _signed(self, cookie: str) -> Session:
        payload, _, signature = cookie.partition(".")
        try:
            session = msgspec.json.decode(urlsafe_b64decode(payload), type=Session)
        except (NoBase64, ValueError, msgspec.MsgspecError):
            raise SignedOut from None
        credential = self._credential(session)
        if credential is None or session.until_s < self._clock_s():
            raise SignedOut
        ours = [_signature(key, payload, credential) for key in self._keys]
        if not any(hmac.compare_digest(one.encode(), signature.encode()) for one in ours):
            raise SignedOut
        return session

    def seal(self, text: str, *, about: str) -> str:
        """Encrypt what an address of a page must not tell; it opens about the same account only."""
        return seal(text, self._sealing[0], about=about)

    def unseal(self, sealed: str, *, about: str) -> str | None:
        """What was sealed, None where it was not sealed here about this account.

        Raises:
            ValueError: where it is nothing that is sealed.
        """
        return unseal(sealed, self._sealing, about=about)

    def _credential(self, session: Session) -> str | None:
        """What they signed in with, hashed; None where it is good no longer."""
        if session.account_sid is None:
            return self._operators.get(session.actor)
        account = self._accounts.get(session.account_sid)
        if account is None or account.status != "active":
            return None
        if session.actor == account.sid:
            return account.token_hash
        return {key.sid: key.secret_hash for key in account.api_keys}.get(session.actor)


def _signature(key: bytes, payload: str, credential: str) -> str:
    return hmac.new(key, f"{payload}.{credential}".encode(), "sha256").hexdigest()


def keep(response: Response, request: Request, cookie: str, name: str = COOKIE) -> None:
    """Have the browser send a cookie back to the console, and to nobody else."""
    response.set_cookie(
        name,
        cookie,
        path=PATH,
        max_age=TIMEOUT_S,
        httponly=True,
        samesite="strict",
        secure=url_of(request, "").startswith("https:"),
    )


def before_sign_in(request: Request) -> str:
    """The token of the sign-in form: the browser's, or a new one."""
    return request.cookies.get(_BEFORE) or secrets.token_urlsafe(24)


def keep_before(response: Response, request: Request, token: str) -> None:
    """Bind the sign-in form to this browser."""
    keep(response, request, token, _BEFORE)


def check_before(request: Request, given: str) -> None:
    """Refuse a sign-in that another site's page sent.

    Raises:
        CsrfRefused: where it is one.
    """
    known = request.cookies.get(_BEFORE, "")
    if not known or not hmac.compare_digest(known.encode(), given.encode()):
        raise CsrfRefused


async def _session(request: Request) -> Session:
    if not request.app.state.backend.configuration.loaded:
        raise BrokerUnavailable("the accounts are not read yet")
    sessions: Sessions = request.app.state.sessions
    session = await sessions.read(request.cookies.get(COOKIE, ""))
    request.state.session = session
    await request.app.state.backend.credentials.limit.admit(session.caller.payer)
    if request.method == "POST":
        given = (await request.form()).get("csrf", "")
        if not isinstance(given, str) or not hmac.compare_digest(
            given.encode(), session.csrf.encode()
        ):
            raise CsrfRefused
    return session


SessionIs = Annotated[Session, Depends(_session)]
"""A parameter of every page but sign-in; it has checked the form's token."""


def for_operators(why: str) -> Dependency:
    """What routes that are the operator's alone depend on; says why to others."""

    async def check(session: SessionIs) -> None:
        if not session.caller.operator:
            raise ApiError(403, 20003, why)

    return Dependency(check)
