"""How long requests take, by route: the API's own metrics."""

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
    "The API listens to others than this machine: set OPTOUT_METRICS_TOKEN, and send it as"
    " Authorization: Bearer <token>"
)
_WRONG_TOKEN = "Send OPTOUT_METRICS_TOKEN as Authorization: Bearer <token>"
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


def _refuse_others(request: Request, backend: BackendIs) -> None:
    """Metrics are the operator's: for who has the token, without one for this machine alone.

    Raises:
        ApiError: 401 or 403, for anybody else.
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
        401: {"description": "Without OPTOUT_METRICS_TOKEN, where it is set."},
        403: {"description": "It is not set, and others than this machine are listened to."},
    },
)
async def metrics(backend: BackendIs) -> Response:
    """What is counted and timed, for Prometheus, who sends `Authorization: Bearer <token>`."""
    return Response(backend.metrics.text(), media_type=CONTENT_TYPE)
