"""Every lane of match, gate and webhooks, for operators only: how it is, and what waits for it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from processor.http.backend import BackendIs
from processor.http.console.pages import Page, page
from processor.http.console.sessions import PATH, for_operators

router = APIRouter(
    prefix=PATH,
    route_class=Page,
    include_in_schema=False,
    dependencies=[for_operators("Only an operator may see the lanes.")],
)


@router.get("/lanes")
async def lanes(request: Request, backend: BackendIs) -> Response:
    """List the lanes of each role by partition."""
    health = backend.health
    return page(request, "lanes", roles=health.roles(), health_age=health.age_s)
