"""Health pages, which need no credentials."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from processor.http.backend import BackendIs

router = APIRouter(tags=["health"])


@router.get("/livez")
async def livez(backend: BackendIs, response: Response) -> dict[str, Any]:
    """The process is there; 503 where only another one would help."""
    ended = backend.ended()
    response.status_code = 503 if ended else 200
    return {"alive": not ended}


@router.get("/readyz")
async def readyz(backend: BackendIs, response: Response) -> dict[str, Any]:
    """Requests can be served; 503 with the reasons where they cannot."""
    reasons = backend.unready()
    response.status_code = 503 if reasons else 200
    return {"ready": not reasons, "reasons": reasons}
