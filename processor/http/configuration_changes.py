"""The changes of an account's configuration, with time and actor."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from processor.http.auth import CallerIs
from processor.http.authenticated_routes import Known
from processor.http.backend import BackendIs
from processor.http.history_pages import Below, Limit, Since, meta_of_changes
from processor.http.long_responses import written
from processor.http.recipients import cost_of, values_of
from processor.http.responses.accounts import ConfigurationChanges
from processor.wire.json_values import to_ms

router = APIRouter(route_class=Known, prefix="/v1", tags=["histories"])


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
