"""Everything the console serves."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from processor.http.backend import Backend
from processor.http.console import editing, live, rates, services, sign_in, trying
from processor.http.console.pages import STATIC
from processor.http.console.sessions import PATH, Sessions


def add_to(api: FastAPI, backend: Backend) -> None:
    """Serve the console under ``/console``, beside the API."""
    api.state.sessions = Sessions(backend.settings, backend.configuration.accounts)
    for router in (
        sign_in.router,
        services.router,
        editing.router,
        trying.router,
        live.router,
        rates.router,
    ):
        api.include_router(router)
    api.mount(f"{PATH}/static", StaticFiles(directory=STATIC), name="console-static")
