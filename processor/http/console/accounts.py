"""The accounts, for operators only: list them, and suspend, resume or delete on confirmation."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from processor.errors import ConfigError
from processor.http.backend import Backend, BackendIs
from processor.http.console.pages import Page, asked_page, go, page
from processor.http.console.sessions import PATH, SessionIs, for_operators
from processor.http.errors import not_found
from processor.kafka.topics import ending
from schemas.account import Account

router = APIRouter(
    prefix=PATH,
    route_class=Page,
    include_in_schema=False,
    dependencies=[for_operators("Only an operator may see accounts.")],
)

_PAGE = 50
_STEPS = {
    "suspend": (ending.suspend, "suspended"),
    "resume": (ending.resume, "resumed"),
    "delete": (ending.close, "deleted"),
}
_POSSIBLE = {"active": ("suspend", "delete"), "suspended": ("resume", "delete"), "closed": ()}


@router.get("/accounts")
async def list_(request: Request, backend: BackendIs, named: str = "") -> Response:
    """List accounts with state and usage; a search narrows them by name."""
    every, part = backend.configuration.accounts.all(), named.strip().casefold()
    found = [
        one for one in every if part in one.friendly_name.casefold() or part in one.sid.casefold()
    ]
    found.sort(key=lambda account: (account.friendly_name.casefold(), account.sid))
    first = _PAGE * asked_page(request)
    services = backend.configuration.services
    return page(
        request,
        "accounts",
        accounts=[
            (account, services.size_of(account.sid)[0], _POSSIBLE[account.state])
            for account in found[first : first + _PAGE]
        ],
        every=len(every),
        found=len(found),
        first=first,
        size=_PAGE,
        named=named,
    )


@router.get("/accounts/{sid}/{step}")
async def confirm(request: Request, backend: BackendIs, sid: str, step: str) -> Response:
    """Show the effects of suspending, resuming or deleting an account."""
    return _confirmation(request, backend, sid, step)


@router.post("/accounts/{sid}/{step}")
async def end(
    request: Request, backend: BackendIs, session: SessionIs, sid: str, step: str
) -> Response:
    """Suspend, resume or delete an account; deletion needs the typed sid."""
    account, form = _account(request, backend, sid, step), await request.form()
    if step == "delete" and str(form.get("confirm", "")).strip() != account.sid:
        return _confirmation(request, backend, sid, step, form, "This is not the account's sid.")
    work, said = _STEPS[step]
    try:
        await work(backend.configuration, sid, actor=session.actor)
    except ConfigError as error:
        return _confirmation(request, backend, sid, step, form, "; ".join(error.problems))
    return go("/accounts", f"account-{said}")


def _account(request: Request, backend: Backend, sid: str, step: str) -> Account:
    account = backend.configuration.accounts.get(sid)
    if account is None or step not in _STEPS:
        raise not_found(request)
    return account


def _confirmation(
    request: Request,
    backend: Backend,
    sid: str,
    step: str,
    typed: Mapping[str, object] | None = None,
    problem: str = "",
) -> Response:
    account = _account(request, backend, sid, step)
    return page(
        request,
        "end_account",
        status=422 if problem else 200,
        account=account,
        step=step,
        usage=backend.configuration.holdings.usage_of(sid),
        typed=(typed or {}).get("confirm", ""),
        problem=problem,
    )
