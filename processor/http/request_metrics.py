"""The API's own metrics: durations of requests by route."""

from __future__ import annotations

import time

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from processor.http.backend import BackendIs
from processor.http.errors import ApiError
from processor.metrics import CONTENT_TYPE, Metrics, is_reader
from processor.webhooks.addresses import is_loopback

router = APIRouter(tags=["health"])

_NO_TOKEN = (
    "The API is reachable from other machines: set OPTOUT_METRICS_TOKEN, and send it as"
    " Authorization: Bearer <token>"
)
_WRONG_TOKEN = "Send OPTOUT_METRICS_TOKEN as Authorization: Bearer <token>"
_NO_ROUTE = "none"  # label for unknown paths, of which clients may request any number


class Measured:
    """Times every request, by route.

    Args:
        app: the next application.
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


def _refuse_others(request: Request, backend: BackendIs) -> None:
    """Restrict metrics to clients with the token, or, without a token, to this machine.

    Raises:
        ApiError: 401 or 403, for other clients.
    """
    settings = backend.settings
    if settings.metrics_token is None:
        if not is_loopback(settings.api_host):
            raise ApiError(403, 20003, _NO_TOKEN)
        return
    given, token = request.headers.get("authorization", ""), settings.metrics_token
    if not is_reader(given, token.get_secret_value()):
        raise ApiError(401, 20003, _WRONG_TOKEN, headers={"WWW-Authenticate": "Bearer"})


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    dependencies=[Depends(_refuse_others)],
    responses={
        401: {"description": "The token is missing or wrong."},
        403: {"description": "No OPTOUT_METRICS_TOKEN is set, but other machines reach the API."},
    },
)
async def metrics(backend: BackendIs) -> Response:
    """Serve metrics to Prometheus, which sends `Authorization: Bearer <token>`."""
    return Response(backend.metrics.text(), media_type=CONTENT_TYPE)
