"""The application: every resource on one listener, under any host name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.types import ASGIApp

from processor.config import Settings
from processor.http import (
    accounts,
    block_files,
    blocks,
    channels,
    configuration_changes,
    consents,
    docs,
    empty_lists,
    errors,
    health,
    messages,
    numbers,
    opt_out_defaults,
    opt_out_layers,
    opt_outs,
    people,
    request_metrics,
    senders,
    services,
    suspected,
)
from processor.http.backend import Backend
from processor.http.console import routes as console
from processor.http.limits import SizeLimit
from processor.http.openapi_errors import document_refusals
from processor.http.protection import Forwarded, OwnSite, Protected
from processor.http.request_metrics import Measured

_ROUTERS = (  # tried in this order: calls made with every send first
    blocks.router,
    people.router,
    messages.router,
    health.router,
    request_metrics.router,
    services.router,
    senders.router,
    empty_lists.router,
    accounts.router,
    numbers.router,
    channels.router,
    consents.router,
    block_files.router,
    configuration_changes.router,
    suspected.router,
    opt_out_defaults.router,
    opt_outs.router,
    opt_out_layers.router,
)


class _Api(FastAPI):
    """FastAPI with middleware that also covers error responses."""

    settings: Settings

    def build_middleware_stack(self) -> ASGIApp:
        """See Starlette, whose own error handler is outside of every other middleware."""
        inner = Protected(super().build_middleware_stack(), self.settings.public_url)
        return Forwarded(inner, self.settings.trusted_proxies)


def create_api(settings: Settings) -> FastAPI:
    """Build the API of an installation; it connects on startup."""
    backend = Backend(settings)

    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        async with backend.running():
            yield

    api = _Api(
        title="optout",
        version=version("optout"),
        description="Messaging services with keyword opt-out, as Twilio's helper libraries ask.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads its script from elsewhere
        redoc_url=None,
    )
    api.settings = settings
    api.state.backend = backend
    api.add_middleware(
        SizeLimit,
        max_bytes=settings.api_max_bytes,
        by_path={block_files.IMPORT: settings.api_import_max_bytes, **console.SIZES},
    )
    api.add_middleware(OwnSite, public_url=settings.public_url)
    api.add_middleware(Measured, metrics=backend.metrics)
    errors.install(api)
    for router in _ROUTERS:
        api.include_router(router)
    docs.add_to(api)
    console.add_to(api, backend)
    document_refusals(api)
    return api
