"""The changes of an account's configuration, with time and actor."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime

from processor.http.auth import CallerIs
from processor.http.authenticated_routes import Known
from processor.http.backend import BackendIs
from processor.http.links import url_of
from processor.http.long_responses import written
from processor.http.recipients import cost_of, values_of
from processor.http.responses.accounts import ConfigurationChanges
from processor.http.responses.changes import ChangesMeta
from processor.wire.json_values import to_ms

router = APIRouter(route_class=Known, prefix="/v1", tags=["histories"])

Limit = Annotated[int, Query(ge=1, le=1_000, description="Most changes to return.")]
Since = Annotated[AwareDatetime | None, Query(description="From this time on, RFC 3339.")]
Below = Annotated[
    int | None,
    Query(alias="PageToken", ge=0, lt=1 << 48, description="Copied from a page's link."),
]


@router.get("/ConfigurationChanges", response_model=ConfigurationChanges)
async def changes(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    limit: Limit = 100,
    since: Since = None,
    below: Below = None,
) -> Response:
    """List changes of the account and of its services and numbers, newest first."""
    async with backend.kafka_turns.turn(caller.payer):
        found = await backend.configuration_changes.newest(
            0,
            caller.account,
            None,
            most=limit,
            below=below,
            since_ms=to_ms(since) if since else None,
        )
    backend.charge(caller, cost_of(found))
    answer: ConfigurationChanges = {
        "meta": meta_of_changes(request, limit, found.below),
        "changes": await values_of(backend, backend.configuration_changes, found),
    }
    return written(answer)


def meta_of_changes(request: Request, limit: int, below: int | None) -> ChangesMeta:
    """Make the place of a page of changes, and the link to older changes."""
    query = request.url.include_query_params(PageToken=below).query
    here = url_of(request, request.url.path)
    return {
        "key": "changes",
        "page_size": limit,
        "next_page_url": None if below is None else f"{here}?{query}",
    }
