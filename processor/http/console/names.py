"""Suggestions for a field that takes a service, while a person types."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from processor.http.backend import BackendIs
from processor.http.console.naming import options, services_of
from processor.http.console.pages import Page, page
from processor.http.console.sessions import PATH, SessionIs
from processor.http.errors import not_found

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)


@router.get("/names")
async def names(
    request: Request, backend: BackendIs, session: SessionIs, service: str = "", account: str = ""
) -> Response:
    """The services of an account that the typed text may name."""
    if account and not session.caller.may_see(account):
        raise not_found(request)
    services = services_of(backend, account or session.caller.account_sid)
    return page(request, "service_options", options=options(services, service))
