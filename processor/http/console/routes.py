"""Everything the console serves."""

from __future__ import annotations

from fastapi import FastAPI

from processor.http.backend import Backend
from processor.http.console import editing, services, sign_in, trying
from processor.http.console.pages import Static
from processor.http.console.sessions import PATH, Sessions


def add_to(api: FastAPI, backend: Backend) -> None:
    """Serve the console under ``/console``, beside the API."""
    api.state.sessions = Sessions(backend.settings, backend.configuration.accounts)
    for router in (sign_in.router, services.router, editing.router, trying.router):
        api.include_router(router)
    api.mount(
        f"{PATH}/static",
        Static(packages=[("processor.http.console", "static")]),
        name="console-static",
    )
