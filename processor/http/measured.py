"""How long requests take, by route: the API's own metrics."""

from __future__ import annotations

import time

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from processor.http.backend import BackendIs
from processor.metrics import CONTENT_TYPE, Metrics

router = APIRouter(tags=["health"])

_NO_ROUTE = "none"  # what nobody serves may be asked for under any name


class Measured:
    """Times every request of the routes there are.

    Args:
        app: what comes next.
        metrics: of the process.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._seconds = metrics.api_request_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            route = getattr(scope.get("route"), "path", _NO_ROUTE)
            method = scope["method"] if route != _NO_ROUTE else _NO_ROUTE
            seconds = time.perf_counter() - began
            self._seconds.labels(method, route, f"{status // 100}xx").observe(seconds)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(backend: BackendIs) -> Response:
    """What is counted and timed, for Prometheus."""
    return Response(backend.metrics.text(), media_type=CONTENT_TYPE)
