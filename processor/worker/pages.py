"""The worker's pages: health, metrics, rates. Faust's web server serves them, without its own.

Metrics and rates are for the operator. Metrics name no account, so without a token anyone who
reaches the server may read them. Rates show what every account does, so without a token only this
machine may read them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from faust.web.base import BlueprintManager

from processor.config import Settings
from processor.core.browsers import DATA_HEADERS
from processor.metrics import CONTENT_TYPE, is_reader
from processor.webhooks.addresses import is_loopback

RATES = "/opt-out-rates"
METRICS = "/metrics"
_NO_TOKEN = (
    f"{RATES} shows what every account does: set OPTOUT_METRICS_TOKEN and send it as"
    " `Authorization: Bearer <token>`, or let the worker listen on this machine only"
    " (OPTOUT_WEB_HOST=127.0.0.1)"
)
_WRONG_TOKEN = "send OPTOUT_METRICS_TOKEN as `Authorization: Bearer <token>`"

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_to(
    app: Any, settings: Settings, *, unready: Callable[[], list[str]], metrics: Callable[[], bytes]
) -> None:
    """Add these pages to a Faust app, and remove Faust's own.

    Args:
        app: the Faust app.
        settings: of the worker.
        unready: the reasons why the worker is not ready; empty if it is.
        metrics: in Prometheus' text format.
    """
    app.web.blueprints = BlueprintManager()  # /, /router, /table show hosts and tables
    app.web.web_app.middlewares.append(_guarded(app, settings))
    app.web.web_app.on_response_prepare.append(_prepared)

    @app.page("/livez")  # type: ignore[untyped-decorator]
    async def livez(view: Any, request: Any) -> Any:
        return view.json({"alive": True})

    @app.page("/readyz")  # type: ignore[untyped-decorator]
    async def readyz(view: Any, request: Any) -> Any:
        reasons = unready()
        return view.json({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)

    @app.page(METRICS)  # type: ignore[untyped-decorator]
    async def all_metrics(view: Any, request: Any) -> Any:
        return view.bytes(metrics(), headers={"Content-Type": CONTENT_TYPE})


def _guarded(app: Any, settings: Settings) -> Any:
    token = settings.metrics_token

    @web.middleware
    async def guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
        path = request.path.rstrip("/")
        if path not in (METRICS, RATES):
            return await handler(request)
        if token is None:
            if path == RATES and not is_loopback(app.conf.web_bind):
                return web.json_response({"error": _NO_TOKEN}, status=403)
        elif not is_reader(request.headers.get("Authorization", ""), token.get_secret_value()):
            asks = {"WWW-Authenticate": "Bearer"}
            return web.json_response({"error": _WRONG_TOKEN}, status=401, headers=asks)
        return await handler(request)

    return guarded


async def _prepared(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(DATA_HEADERS)
    response.headers.popall("Server", None)
