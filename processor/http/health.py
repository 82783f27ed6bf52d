"""Health pages, which need no credentials."""

from __future__ import annotations

from fastapi import APIRouter, Response
from typing_extensions import TypedDict

from processor.http.backend import BackendIs

router = APIRouter(tags=["health"])


class Alive(TypedDict):
    """Whether the process will ever serve again."""

    alive: bool


class Ready(TypedDict):
    """Whether requests can be served now, with the reasons if not."""

    ready: bool
    reasons: list[str]


@router.get(
    "/livez",
    responses={503: {"model": Alive, "description": "The process will never serve again."}},
)
async def livez(backend: BackendIs, response: Response) -> Alive:
    """The process is alive; 503 if only a restart would help."""
    ended = backend.ended()
    response.status_code = 503 if ended else 200
    return {"alive": not ended}


@router.get("/readyz", responses={503: {"model": Ready, "description": "Not now."}})
async def readyz(backend: BackendIs, response: Response) -> Ready:
    """The process can serve requests; 503 with the reasons if it cannot."""
    reasons = backend.unready()
    response.status_code = 503 if reasons else 200
    return {"ready": not reasons, "reasons": reasons}
