"""Recipients: show their blocks and history; block and unblock on confirmation.

A number is typed into a form and sealed in addresses of pages, as logs may keep those.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from processor.core.addresses import subscriber_key
from processor.core.blocks import Block
from processor.core.consents import place_of
from processor.core.identity import cause_of
from processor.core.messages import (
    ChannelGroup,
    ConsentCommand,
    Scope,
    entry_key,
    groups_of,
    list_key,
)
from processor.errors import RetryableError
from processor.http.auth import Caller
from processor.http.backend import Backend, BackendIs
from processor.http.console.naming import Unclear, options, services_of, the_one
from processor.http.console.pages import Page, asked_page, go, page
from processor.http.console.sessions import PATH, Session, SessionIs, Sessions
from processor.http.errors import ApiError, not_found
from processor.http.recipients import Change, carry_out, changes_of, command_of, look
from processor.json_types import JsonObject
from processor.wire import blocks as wire_blocks
from processor.wire.json_values import reasons, to_text
from processor.wire.spellings import NoAddress, subscriber_of

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

_PAGE = 25


@router.get("/recipients")
async def form(request: Request, session: SessionIs) -> Response:
    """Ask for a number."""
    return page(request, "recipients", number="", account="", problems={})


@router.post("/recipients")
async def find_one(request: Request, backend: BackendIs, session: SessionIs) -> Response:
    """Redirect to the page of a number; the page's address does not reveal it."""
    given = await request.form()
    number, account = str(given.get("number", "")).strip(), str(given.get("account", "")).strip()
    problems = {}
    try:
        number = subscriber_of(number)
    except NoAddress as error:
        problems["number"] = f"It {error}."
    account_sid = session.caller.account_sid or account
    if backend.configuration.accounts.get(account_sid) is None:
        problems["account"] = "There is no account with this sid."
    if problems:
        shown = {"number": number, "account": account, "problems": problems}
        return page(request, "recipients", status=422, **shown)
    return go(f"/recipients/{account_sid}/{_sealed(request, account_sid, subscriber_key(number))}")


@router.get("/recipients/{account_sid}/{sealed}")
async def show(
    request: Request, backend: BackendIs, session: SessionIs, account_sid: str, sealed: str
) -> Response:
    """Show the blocks on a recipient and their history."""
    number = _number(request, session, account_sid, sealed)
    return await _show(request, backend, session, account_sid, sealed, number)


@router.get("/recipients/{account_sid}/{sealed}/change")
async def confirm(
    request: Request, backend: BackendIs, session: SessionIs, account_sid: str, sealed: str
) -> Response:
    """Show the effects of blocking or unblocking."""
    number = _number(request, session, account_sid, sealed)
    given = request.query_params
    try:
        return await _confirmation(request, backend, session, account_sid, sealed, number, given)
    except Unclear as error:
        return await _show(request, backend, session, account_sid, sealed, number, str(error))
    except ApiError as error:
        if error.status != 400:
            raise
        return await _show(request, backend, session, account_sid, sealed, number, error.message)


@router.post("/recipients/{account_sid}/{sealed}/change")
async def change(
    request: Request, backend: BackendIs, session: SessionIs, account_sid: str, sealed: str
) -> Response:
    """Block or unblock, and redirect once it is in force."""
    number = _number(request, session, account_sid, sealed)
    given: Mapping[str, object] = await request.form()
    reason = str(given.get("reason", "")).strip()
    if not 1 <= len(reason) <= 400:
        return await _confirmation(
            request, backend, session, account_sid, sealed, number, given, status=422
        )
    command = _command(backend, session, account_sid, number, given, reason)
    found = await carry_out(backend, command)
    said = ("blocked" if command.blocked else "unblocked") if found else "stored"
    return go(f"/recipients/{account_sid}/{sealed}", said)


def _command(
    backend: Backend,
    session: Session,
    account_sid: str,
    number: str,
    given: Mapping[str, object],
    reason: str,
) -> ConsentCommand:
    caller = Caller(account_sid, session.actor, operator=session.caller.operator)
    whatsapp = given.get("channel") == ChannelGroup.WHATSAPP
    scope = given.get("scope") or backend.settings.block_scope
    typed = {name for name in ("service", "sender") if given.get(name)}
    if typed - {scope}:
        raise ApiError(400, 20001, "Choose one service or one sender, or leave both fields empty.")
    service = _service(backend, account_sid, given) if scope == "service" else None
    try:
        wanted = Change.model_validate(
            {
                "recipient": f"whatsapp:{number}" if whatsapp else number,
                "scope": scope,
                "service_sid": service,
                "sender": (given.get("sender") or None) if scope == "sender" else None,
                "reason": reason,
            }
        )
    except ValidationError as error:
        raise ApiError(400, 20001, "; ".join(reasons(error))) from None
    blocked = given.get("blocked") == "1"
    return command_of(backend, caller, wanted, blocked=blocked, source="console")


def _service(backend: Backend, account_sid: str, given: Mapping[str, object]) -> str | None:
    """Return the service's sid from a link, or from the typed text."""
    if sid := given.get("service_sid"):
        return str(sid)
    typed = str(given.get("service", ""))
    return the_one(services_of(backend, account_sid), typed).sid if typed else None


async def _confirmation(
    request: Request,
    backend: Backend,
    session: Session,
    account_sid: str,
    sealed: str,
    number: str,
    given: Mapping[str, object],
    status: int = 200,
) -> Response:
    command = _command(backend, session, account_sid, number, given, "not given yet")
    place = place_of(command)
    listed = entry_key(account_sid, list_key(number, command.channel_group))
    (found,) = await look(backend, [listed])
    blocks = wire_blocks.readable(found.value)
    return page(
        request,
        "change_block",
        status=status,
        number=number,
        at=f"{PATH}/recipients/{account_sid}/{sealed}",
        command=command,
        whom=_whom(backend, account_sid, command.scope, place.target),
        same=(place in {one.place for one in blocks}) is command.blocked,
        others=[_row(backend, account_sid, one) for one in blocks if one.place != place],
        reason=given.get("reason", ""),
        problem="Give a reason of 1 to 400 characters." if status == 422 else "",
    )


async def _show(
    request: Request,
    backend: Backend,
    session: Session,
    account_sid: str,
    sealed: str,
    number: str,
    problem: str = "",
) -> Response:
    groups = groups_of(number)
    keys = [entry_key(account_sid, list_key(number, group)) for group in groups]
    looked = await look(backend, keys)
    blocks = [
        {**_row(backend, account_sid, one), "channel": group}
        for group, found in zip(groups, looked, strict=True)
        for one in wire_blocks.readable(found.value)
    ]
    first = _PAGE * asked_page(request)
    changes: list[JsonObject] | None
    try:
        found = await changes_of(
            backend, session.caller, account_sid, number, *groups, limit=_PAGE + 1, skip=first
        )
        changes = found.values
    except RetryableError:
        changes = None  # the page says so, and still shows the blocks
    return page(
        request,
        "recipient",
        status=422 if problem else 200,
        number=number,
        account_sid=account_sid,
        at=f"{PATH}/recipients/{account_sid}/{sealed}",
        blocks=blocks,
        changes=None if changes is None else [_told(backend, account_sid, one) for one in changes],
        first=first,
        size=_PAGE,
        options=options(services_of(backend, account_sid)),
        scope=backend.settings.block_scope,
        groups=groups,
        given=request.query_params,
        problem=problem,
    )


def _row(backend: Backend, account_sid: str, block: Block) -> dict[str, object]:
    return {
        "whom": _whom(backend, account_sid, block.scope, block.target),
        "scope": block.scope,
        "target": block.target,
        "carrier": block.carrier,
        "since": to_text(block.since_ms),
        "causes": [
            {"kind": one.kind, "id": cause_of(one.change_id), "since": to_text(one.since_ms)}
            for one in block.sources
        ],
        "locked": block.locked,
    }


def _told(backend: Backend, account_sid: str, change: JsonObject) -> dict[str, object]:
    """Describe a change of the history for its row."""
    target = change.get("messaging_service_sid") or change.get("sender") or ""
    whom = _whom(backend, account_sid, Scope(change["scope"]), target)
    return {**change, "whom": whom, "what": _what(change)}


def _what(change: JsonObject) -> str:
    if not change["blocked"]:
        return "Unblocked"
    if not change["previous"]:
        return "Blocked"
    causes = [one["change_id"] for one in (change.get("standing") or {}).get("sources", ())]
    return "Blocked for another cause" if change["change_id"] in causes else "One cause lifted"


def _whom(backend: Backend, account_sid: str, scope: Scope, target: str) -> str:
    """Describe the blocked senders in words."""
    match scope:
        case Scope.ACCOUNT:
            return "the whole account"
        case Scope.SERVICE:
            stored = backend.configuration.services.get(target)
            if stored and stored.head.account_sid == account_sid:
                return f"service {stored.head.friendly_name}"
            return f"service {target}"
        case Scope.SENDER:
            return f"sender {target}"


def _sealed(request: Request, account_sid: str, number: str) -> str:
    sessions: Sessions = request.app.state.sessions
    return sessions.seal(number, about=account_sid)


def _number(request: Request, session: Session, account_sid: str, sealed: str) -> str:
    """Unseal the number of a page.

    Raises:
        ApiError: 404, if it is not a sealed number of this account.
    """
    sessions: Sessions = request.app.state.sessions
    try:
        number = sessions.unseal(sealed, about=account_sid)
    except ValueError:
        number = None
    if number is None or not session.caller.may_see(account_sid):
        raise not_found(request)
    return number
