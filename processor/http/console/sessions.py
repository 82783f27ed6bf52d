"""Sessions: a signed cookie that scripts cannot read, and a token in every form.

Any process serves any page, so open sessions are kept in Redis. A session whose state cannot be
read there is refused. A new account token ends the account's sessions, as the signature depends on
the token.
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
    """The session is missing or over."""


class CsrfRefused(ApiError):
    """The form is not from a page of ours, or belongs to another session."""

    def __init__(self) -> None:
        super().__init__(
            403,
            20003,
            "This form was not sent from a page of your session. Load the page, and try again.",
        )


@dataclass(frozen=True, slots=True)
class Session:
    """The content of the cookie."""

    sid: str
    account_sid: str | None  # None: an operator, who sees every account
    actor: str
    csrf: str
    until_s: float

    @property
    def owner(self) -> str:
        """The owner of the session, an account or an operator; limits count by owner."""
        return self.account_sid or self.actor

    @property
    def caller(self) -> Caller:
        """The caller, in the API's form."""
        return Caller(self.account_sid, self.actor, operator=self.account_sid is None)


class Sessions:
    """Opens, reads and ends sessions.

    Args:
        settings: its first secret key signs, and all keys verify; without a key, this process makes
            its own.
        accounts: the accounts whose tokens sessions depend on.
        open_: the open sessions of all processes.
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
        """Open a session; return its cookie.

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
        """Read the session of a cookie.

        Raises:
            SignedOut: it is not ours, is over, or its credentials are no longer valid.
            StoreUnavailable: its state cannot be read.
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
        """Encrypt a value for a page's address; it can only be opened for the same account."""
        return seal(text, self._sealing[0], about=about)

    def unseal(self, sealed: str, *, about: str) -> str | None:
        """Decrypt a value; None if it was not sealed here for this account.

        Raises:
            ValueError: it is not a sealed value.
        """
        return unseal(sealed, self._sealing, about=about)

    def _credential(self, session: Session) -> str | None:
        """Hash the session's credential; None if it is no longer valid."""
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
    """Set a cookie that the browser sends to the console only."""
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
    """Return the token of the sign-in form: the browser's, or a new token."""
    return request.cookies.get(_BEFORE) or secrets.token_urlsafe(24)


def keep_before(response: Response, request: Request, token: str) -> None:
    """Bind the sign-in form to this browser."""
    keep(response, request, token, _BEFORE)


def check_before(request: Request, given: str) -> None:
    """Refuse a sign-in that another site's page sent.

    Raises:
        CsrfRefused: the sign-in is from another site's page.
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
"""A parameter of every page except sign-in; it checks the form's token."""


def for_operators(why: str) -> Dependency:
    """Make a dependency for routes that only operators may use; others get the reason."""

    async def check(session: SessionIs) -> None:
        if not session.caller.operator:
            raise ApiError(403, 20003, why)

    return Dependency(check)
