"""Who is signed in: a signed cookie that no script reads, and a token in every form.

Nothing is kept here, so that any process serves any page. A new account token ends its sessions:
what is signed with is made of it too.
"""

from __future__ import annotations

import hmac
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request, Response

from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.http.auth import Caller
from processor.http.errors import ApiError
from processor.http.links import url_of
from processor.kafka.accounts_topic import AccountsView
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

    account_sid: str | None  # None: the operator, who sees every account
    actor: str
    csrf: str
    until_s: float

    @property
    def caller(self) -> Caller:
        """Who asks, as the API knows them."""
        return Caller(self.account_sid, self.actor, operator=self.account_sid is None)


class Sessions:
    """Signs and reads cookies.

    Args:
        settings: its secret key signs; without one a key of this process does.
        accounts: whose tokens sessions depend on.
        clock_s: since 1970.
    """

    def __init__(
        self,
        settings: Settings,
        accounts: AccountsView,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        sealing = settings.sealing_key()
        self._key = (
            hmac.digest(sealing, b"console", "sha256") if sealing else secrets.token_bytes(32)
        )
        self._sealing = hmac.digest(self._key, b"addresses", "sha256")
        token = settings.operator_token
        self._operator = token.get_secret_value() if token else None
        self._accounts = accounts
        self._clock_s = clock_s

    def open(self, caller: Caller) -> str:
        """The cookie of a session that begins now."""
        session = Session(
            None if caller.operator else caller.account_sid,
            caller.actor,
            secrets.token_urlsafe(24),
            self._clock_s() + TIMEOUT_S,
        )
        payload = urlsafe_b64encode(msgspec.json.encode(session)).decode()
        credential = self._credential(session)
        if credential is None:
            raise SignedOut
        return f"{payload}.{self._signature(payload, credential)}"

    def read(self, cookie: str) -> Session:
        """The session of a cookie.

        Raises:
            SignedOut: where it is not ours, is over, or its credentials are no longer good.
        """
        payload, _, signature = cookie.partition(".")
        try:
            session = msgspec.json.decode(urlsafe_b64decode(payload), type=Session)
        except (NoBase64, ValueError, msgspec.MsgspecError):
            raise SignedOut from None
        credential = self._credential(session)
        if credential is None or session.until_s < self._clock_s():
            raise SignedOut
        ours = self._signature(payload, credential)
        if not hmac.compare_digest(ours.encode(), signature.encode()):
            raise SignedOut
        return session

    def seal(self, text: str, *, about: str) -> str:
        """Encrypt what an address of a page must not tell; it opens about the same account only."""
        return seal(text, self._sealing, about=about)

    def unseal(self, sealed: str, *, about: str) -> str | None:
        """What was sealed, None where it was not sealed here about this account.

        Raises:
            ValueError: where it is nothing that is sealed.
        """
        return unseal(sealed, self._sealing, about=about)

    def _signature(self, payload: str, credential: str) -> str:
        return hmac.new(self._key, f"{payload}.{credential}".encode(), "sha256").hexdigest()

    def _credential(self, session: Session) -> str | None:
        """What they signed in with, hashed; None where it is good no longer."""
        if session.account_sid is None:
            return self._operator
        account = self._accounts.get(session.account_sid)
        if account is None or account.status != "active":
            return None
        if session.actor == account.sid:
            return account.token_hash
        return {key.sid: key.secret_hash for key in account.api_keys}.get(session.actor)


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
    session = sessions.read(request.cookies.get(COOKIE, ""))
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


def for_operators(why: str) -> Any:
    """What routes that are the operator's alone depend on; says why to others."""

    async def check(session: SessionIs) -> None:
        if not session.caller.operator:
            raise ApiError(403, 20003, why)

    return Depends(check)
