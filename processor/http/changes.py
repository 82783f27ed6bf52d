"""Who changed an account's configuration, and when."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from processor.http.answers.accounts import ConfigurationChanges
from processor.http.auth import CallerIs
from processor.http.backend import BackendIs
from processor.http.known import Known
from processor.wire.json_values import to_ms
from schemas.configuration_change import ConfigurationChange

router = APIRouter(route_class=Known, prefix="/v1", tags=["histories"])

Limit = Annotated[int, Query(ge=1, le=1_000, description="At most so many.")]
Since = Annotated[AwareDatetime | None, Query(description="From this time on, RFC 3339.")]


@router.get("/ConfigurationChanges")
async def changes(
    backend: BackendIs, caller: CallerIs, limit: Limit = 100, since: Since = None
) -> ConfigurationChanges:
    """The changes of the account's services, numbers and of itself, the newest first."""
    account = caller.account
    async with backend.few_readers:
        found = await backend.histories.newest(
            backend.topics.configuration_changes,
            0,
            model=ConfigurationChange,
            keep=lambda key, change: change["account_sid"] == account,
            limit=limit,
            since_ms=to_ms(since) if since else None,
        )
    return {"changes": found}
