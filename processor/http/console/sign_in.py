"""Sign in with the API's credentials, and sign out."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from processor.errors import BrokerUnavailable
from processor.http.auth import address_of
from processor.http.backend import BackendIs
from processor.http.console import sessions
from processor.http.console.pages import Page, go, page
from processor.http.console.sessions import COOKIE, PATH, SessionIs, Sessions
from processor.http.errors import ApiError

logger = logging.getLogger(__name__)

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)


@router.get("/sign-in")
async def form(request: Request, after: str = "") -> Response:
    """Ask for user and token."""
    return _form(request, after=after)


@router.post("/sign-in")
async def sign_in(
    request: Request,
    backend: BackendIs,
    csrf: Annotated[str, Form()] = "",
    user: Annotated[str, Form()] = "",
    token: Annotated[str, Form()] = "",
    after: Annotated[str, Form()] = "",
) -> Response:
    """Open a session."""
    sessions.check_before(request, csrf)
    if not backend.configuration.loaded:
        raise BrokerUnavailable("the accounts are not read yet")
    try:
        caller = await backend.credentials.caller(
            user.strip(), token.strip(), None, address=address_of(request)
        )
    except ApiError as error:
        match error.status:
            case 401:
                problem = "User or token is wrong."
            case 429:
                problem = "Too many logins failed recently. Try again in a few seconds."
            case _:
                raise
        response = _form(request, after=after, user=user, status=error.status, problem=problem)
        if after_s := (error.headers or {}).get("Retry-After"):
            response.headers["Retry-After"] = after_s
        return response
    known: Sessions = request.app.state.sessions
    # Redirect only to our own pages: a path that browsers cannot read as another host.
    first = f"{PATH}/overview"
    response = RedirectResponse(after if after.startswith(f"{PATH}/") else first, 303)
    sessions.keep(response, request, await known.open(caller))
    extra = {
        "account": caller.account_sid,
        "actor": caller.actor,
        "address": address_of(request),
    }
    logger.info("auth.signed_in", extra=extra)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, backend: BackendIs, session: SessionIs) -> Response:
    """End the session everywhere, and its streams here; streams elsewhere end by themselves."""
    known: Sessions = request.app.state.sessions
    await known.end(session)
    backend.live.end_session(session.csrf)
    response = go("/sign-in", "signed-out")
    response.delete_cookie(COOKIE, path=PATH)
    return response


def _form(
    request: Request, *, after: str, user: str = "", status: int = 200, problem: str = ""
) -> Response:
    csrf = sessions.before_sign_in(request)
    response = page(
        request,
        "sign_in",
        status=status,
        csrf=csrf,
        after=after,
        user=user,
        problem=problem,
    )
    sessions.keep_before(response, request, csrf)
    return response
