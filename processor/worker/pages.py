"""The worker's pages: health, metrics, rates. Faust's web server serves them, without its own.

Metrics and rates are for the operator. Metrics name no account: without a token, everybody who
reaches the server may read them. Rates show what every account does: without a token, only this
machine may read them.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from faust.web.base import BlueprintManager

from processor.browser_headers import DATA_HEADERS
from processor.config import Settings
from processor.metrics import CONTENT_TYPE, is_reader
from processor.stages.faust_types import App, View
from processor.webhooks.addresses import is_loopback

RATES = "/opt-out-rates"
METRICS = "/metrics"
_NO_TOKEN = (
    f"{RATES} shows what every account does: set OPTOUT_METRICS_TOKEN and send it as"
    " `Authorization: Bearer <token>`, or have the worker listen on this machine alone"
    " (OPTOUT_WEB_HOST=127.0.0.1)"
)
_WRONG_TOKEN = "send OPTOUT_METRICS_TOKEN as `Authorization: Bearer <token>`"


def add_to(
    app: App, settings: Settings, *, unready: Callable[[], list[str]], metrics: Callable[[], bytes]
) -> None:
    """Add these pages to a Faust app, and remove Faust's own.

    Args:
        app: the Faust app.
        settings: of the worker.
        unready: the reasons why the worker is not ready; empty if it is.
        metrics: in Prometheus' text format.
    """
    app.web.blueprints = BlueprintManager()  # /, /router and /table show hosts and tables
    app.web.web_app.middlewares.append(_guarded(app, settings))
    app.web.web_app.on_response_prepare.append(_prepared)

    @app.page("/livez")
    async def livez(view: View, request: web.Request) -> web.Response:
        return view.json({"alive": True})

    @app.page("/readyz")
    async def readyz(view: View, request: web.Request) -> web.Response:
        reasons = unready()
        return view.json({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)

    @app.page(METRICS)
    async def all_metrics(view: View, request: web.Request) -> web.Response:
        return view.bytes(metrics(), headers={"Content-Type": CONTENT_TYPE})


def _guarded(app: App, settings: Settings) -> Middleware:
    token = settings.metrics_token

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
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
