"""An account's own pages, for operators only: create it, give it a token, and set its limits."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from processor.configuration.accounts import (
    ACCOUNT_SID,
    MOST_NAME_CHARACTERS,
    new_account,
    token_fields,
)
from processor.configuration.edits import Edit, edit_of_account
from processor.configuration.quotas import WORDS, Quota
from processor.errors import ConfigError
from processor.http.backend import Backend, BackendIs
from processor.http.console.pages import Page, go, page
from processor.http.console.sessions import PATH, SessionIs, for_operators
from processor.http.errors import not_found
from processor.wire.credentials import new_token
from schemas.account import Account, AccountLimits

router = APIRouter(
    prefix=PATH,
    route_class=Page,
    include_in_schema=False,
    dependencies=[for_operators("Only an operator may see accounts.")],
)

_MOST = 1 << 53  # of a limit


@dataclass(frozen=True, slots=True)
class _Limit:
    """A row of the form of limits."""

    quota: Quota
    words: str
    used: int
    limit: int
    own: int | None
    typed: str
    problem: str = ""


@router.get("/accounts/new")
async def form(request: Request) -> Response:
    """Ask for the name of a new account."""
    return _form(request, f"AC{uuid.uuid4().hex}")


@router.post("/accounts/new")
async def create(request: Request, backend: BackendIs, session: SessionIs) -> Response:
    """Create an account, and show its token once; a form that is sent again creates no other."""
    typed = await request.form()
    sid, name = str(typed.get("sid", "")), str(typed.get("name", "")).strip()
    if not ACCOUNT_SID.fullmatch(sid):
        return _form(request, f"AC{uuid.uuid4().hex}", name, "Send the form again.")
    if not 1 <= len(name) <= MOST_NAME_CHARACTERS:
        problem = f"A name has 1 to {MOST_NAME_CHARACTERS} characters."
        return _form(request, sid, name, problem)
    token = new_token()
    made = await asyncio.to_thread(new_account, backend.settings, sid, token, name, made=True)

    def decide() -> list[Edit]:
        if backend.configuration.accounts.get(sid):
            text = "this account exists already. If its token is lost, give it a new token"
            raise ConfigError([text])
        return [edit_of_account(None, made)]

    await backend.configuration.update(decide, actor=session.actor)
    return page(request, "account_token", account=made, token=token, is_new=True)


def _form(request: Request, sid: str, name: str = "", problem: str = "") -> Response:
    return page(
        request,
        "new_account",
        status=422 if problem else 200,
        sid=sid,
        name=name,
        most=MOST_NAME_CHARACTERS,
        problem=problem,
    )


@router.get("/accounts/{sid}")
async def show(request: Request, backend: BackendIs, sid: str) -> Response:
    """Show an account: its state, its keys, and its usage beside its limits."""
    return await _show(request, backend, _account(request, backend, sid), {})


@router.post("/accounts/{sid}")
async def limit(request: Request, backend: BackendIs, session: SessionIs, sid: str) -> Response:
    """Set the limits of an account; an empty field means the installation's setting."""
    account, typed = _open_account(request, backend, sid), await request.form()
    given = {quota.value: str(typed.get(quota.value, "")).strip() for quota in Quota}
    own = {name: _number(text) for name, text in given.items() if text}
    if None in own.values():
        return await _show(request, backend, account, given)
    limits = AccountLimits(**own) if own else None
    await _change(backend, sid, {"limits": limits}, session.actor)
    return go(f"/accounts/{sid}", "saved")


@router.get("/accounts/{sid}/rotate")
async def confirm(request: Request, backend: BackendIs, sid: str) -> Response:
    """Show the effects of a new token."""
    return page(request, "rotate_account", account=_open_account(request, backend, sid))


@router.post("/accounts/{sid}/rotate")
async def rotate(request: Request, backend: BackendIs, session: SessionIs, sid: str) -> Response:
    """Give an account a new token, and show it once."""
    account, token = _open_account(request, backend, sid), new_token()
    fields = await asyncio.to_thread(token_fields, backend.settings, sid, token, made=True)
    await _change(backend, sid, fields, session.actor)
    return page(request, "account_token", account=account, token=token, is_new=False)


async def _change(backend: Backend, sid: str, fields: Mapping[str, object], actor: str) -> None:
    """Change fields of an account as it is stored then.

    Raises:
        ConfigError: the account was closed meanwhile.
    """

    def decide() -> list[Edit]:
        before = backend.configuration.accounts.get(sid)
        if before is None or before.closed_at:
            raise ConfigError([f"{sid} is closed for good"])
        update = {**fields, "updated_at": datetime.now(UTC)}
        return [edit_of_account(before, before.model_copy(update=update))]

    await backend.configuration.update(decide, actor=actor)


def _number(text: str) -> int | None:
    """A limit as typed, with or without separators; None if it is not a number."""
    digits = text.replace(",", "").replace(" ", "")
    is_number = digits.isascii() and digits.isdigit() and len(digits) < 20
    return int(digits) if is_number and int(digits) <= _MOST else None


def _account(request: Request, backend: Backend, sid: str) -> Account:
    account = backend.configuration.accounts.get(sid)
    if account is None:
        raise not_found(request)
    return account


def _open_account(request: Request, backend: Backend, sid: str) -> Account:
    """The account of a path, which is not closed."""
    account = _account(request, backend, sid)
    if account.closed_at:
        raise ConfigError([f"{sid} is closed for good; nothing of it can be changed"])
    return account


async def _show(
    request: Request, backend: Backend, account: Account, typed: Mapping[str, str]
) -> Response:
    holdings = backend.configuration.holdings
    usage: dict[Quota, int] = holdings.usage_of(account.sid)
    usage[Quota.MESSAGES] = await backend.messages.count(account.sid)
    own, limits = holdings.own_limits_of(account.sid), holdings.limits_of(account.sid)
    rows = [
        _Limit(
            quota,
            WORDS[quota][0].upper() + WORDS[quota][1:],
            usage[quota],
            limits[quota],
            own.get(quota),
            typed.get(quota.value, str(own.get(quota, ""))),
            "" if _number(typed.get(quota.value) or "0") is not None else "Not a whole number.",
        )
        for quota in Quota
    ]
    return page(
        request,
        "account",
        status=422 if typed else 200,
        account=account,
        rows=rows,
        problems=[row for row in rows if row.problem],
    )
