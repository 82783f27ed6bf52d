"""Everything the console serves."""

from __future__ import annotations

from fastapi import FastAPI

from processor.http.backend import Backend
from processor.http.console import (
    dead_letters,
    editing,
    live,
    options,
    rates,
    recipients,
    senders,
    services,
    sign_in,
    trying,
)
from processor.http.console.pages import Static
from processor.http.console.sessions import PATH, Sessions

_MODULES = (
    sign_in,
    services,
    editing,
    options,
    senders,
    trying,
    recipients,
    live,
    rates,
    dead_letters,
)


def add_to(api: FastAPI, backend: Backend) -> None:
    """Serve the console under ``/console``, beside the API."""
    api.state.sessions = Sessions(backend.settings, backend.configuration.accounts)
    for module in _MODULES:
        api.include_router(module.router)
    api.mount(
        f"{PATH}/static",
        Static(packages=[("processor.http.console", "static")]),
        name="console-static",
    )
