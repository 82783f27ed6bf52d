"""The texts of an account that may be opt-outs, and decisions on them (R30)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field

from processor.core.reviews import Act
from processor.http.auth import Caller, CallerIs
from processor.http.authenticated_routes import Known
from processor.http.backend import Backend, BackendIs
from processor.http.errors import ApiError
from processor.http.limits import LOOKED_AT
from processor.http.links import url_of
from processor.http.recipients import Given
from processor.http.responses.suspected import (
    Reviewed,
    ReviewedTexts,
    SuspectedPage,
    SuspectedText,
    shown,
)
from processor.reviews import Made, Refusal
from schemas.common import Sid
from schemas.suspected_opt_out import Tier

router = APIRouter(route_class=Known, prefix="/v1/OptOuts/Suspected", tags=["suspected opt-outs"])

MOST_AT_ONCE = 100
_CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"description": "The text's state does not allow it, or another decision is being made."}
}
_TextId = Annotated[Sid, Path(description="The `text_id` of a text.")]


class Which(StrEnum):
    """Texts to list."""

    OPEN = "open"
    DECIDED = "decided"


class Ids(Given):
    """The texts to decide on."""

    text_ids: list[Sid] = Field(min_length=1, max_length=MOST_AT_ONCE)


@router.get("")
async def list_(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    state: Annotated[
        Which, Query(description="`open`: by due time; `decided`: the latest decision first.")
    ] = Which.OPEN,
    tier: Annotated[Tier | None, Query(description="Only texts of this tier.")] = None,
    service_sid: Annotated[Sid | None, Query(description="Only texts to this service.")] = None,
    page_size: Annotated[
        int, Query(alias="PageSize", ge=1, le=MOST_AT_ONCE, description="Texts on a page.")
    ] = 50,
    page_token: Annotated[
        str, Query(alias="PageToken", pattern=r"^\d{1,9}$", description="Copied from a link.")
    ] = "0",
) -> SuspectedPage:
    """List texts of the last 30 days; a page whose filter lets little through may be short."""
    found = await backend.reviews.texts.page(
        caller.account, is_open=state is Which.OPEN, start=int(page_token), size=page_size
    )
    backend.charge(caller, LOOKED_AT * page_size)
    texts = [
        shown(one)
        for one in found.texts
        if tier in (None, one.text.suspected.tier)
        and service_sid in (None, one.text.messaging_service_sid)
    ]
    query = request.url.include_query_params(PageToken=found.next).query
    next_page = f"{url_of(request, request.url.path)}?{query}" if found.next else None
    return {
        "meta": {"key": "suspected", "page_size": page_size, "next_page_url": next_page},
        "suspected": texts,
    }


@router.get("/{text_id}")
async def get(backend: BackendIs, caller: CallerIs, text_id: _TextId) -> SuspectedText:
    """Show a text, and how far its review is."""
    found = await backend.reviews.find(text_id, caller.account)
    if found is None:
        raise ApiError(404, 20404, Refusal.GONE.value)
    return shown(found)


@router.post("/Dismiss")
async def dismiss_all(backend: BackendIs, caller: CallerIs, given: Ids) -> ReviewedTexts:
    """Dismiss several texts: they are not opt-outs. Each has its own outcome."""
    results = []
    for text_id in dict.fromkeys(given.text_ids):
        made = await _made(backend, caller, text_id, Act.DISMISS)
        results.append(
            Reviewed(text_id=text_id, refused=made.value)
            if isinstance(made, Refusal)
            else _reviewed(made)
        )
    return {"results": results}


@router.post("/{text_id}/Confirm", responses=_CONFLICT)
async def confirm(backend: BackendIs, caller: CallerIs, text_id: _TextId) -> Reviewed:
    """Confirm that a text is an opt-out: the recipient is blocked."""
    return await _decided(backend, caller, text_id, Act.CONFIRM)


@router.post("/{text_id}/Dismiss", responses=_CONFLICT)
async def dismiss(backend: BackendIs, caller: CallerIs, text_id: _TextId) -> Reviewed:
    """Say that a text is not an opt-out."""
    return await _decided(backend, caller, text_id, Act.DISMISS)


@router.post("/{text_id}/Undo", responses=_CONFLICT)
async def undo(backend: BackendIs, caller: CallerIs, text_id: _TextId) -> Reviewed:
    """Undo the last decision, or a block by a policy; blocks of other causes stay."""
    return await _decided(backend, caller, text_id, Act.UNDO)


async def _decided(backend: Backend, caller: Caller, text_id: str, act: Act) -> Reviewed:
    made = await _made(backend, caller, text_id, act)
    if made is Refusal.GONE:
        raise ApiError(404, 20404, made.value)
    if isinstance(made, Refusal):
        raise ApiError(409, 20409, made.value)
    return _reviewed(made)


async def _made(backend: Backend, caller: Caller, text_id: str, act: Act) -> Made | Refusal:
    return await backend.reviews.decide(
        text_id, act, actor=caller.actor, account_sid=caller.account
    )


def _reviewed(made: Made) -> Reviewed:
    return {
        "text_id": made.text.text.text_id,
        "state": made.text.state,
        "command_id": made.command.command_id if made.command else None,
    }
