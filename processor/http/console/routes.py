"""All routes of the console."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request, Response

from processor.http.backend import Backend
from processor.http.console import (
    account_forms,
    accounts,
    block_list,
    carriers,
    charts,
    creating,
    dead_letters,
    editing,
    lanes,
    live,
    managing,
    names,
    numbers,
    options,
    overview,
    rates,
    recipients,
    review,
    senders,
    services,
    sign_in,
    trying,
)
from processor.http.console.pages import Page
from processor.http.console.sessions import PATH, SessionIs, Sessions
from processor.http.errors import not_found
from processor.http.static_files import Static
from processor.stores.sessions import RedisSessions

_MODULES = (
    sign_in,
    overview,
    creating,  # before services: `/services/new` is not the page of a service
    services,
    managing,
    names,
    editing,
    options,
    senders,
    trying,
    numbers,
    block_list,
    recipients,
    review,
    live,
    rates,
    charts,
    carriers,
    dead_letters,
    lanes,
    account_forms,
    accounts,
)

SIZES = block_list.SIZES
"""The limits of requests that hold a file, by path."""

_nowhere = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)


@_nowhere.get("/{path:path}")
async def nowhere(request: Request, session: SessionIs) -> Response:
    """Answer unknown paths with a page."""
    raise not_found(request)


def add_to(api: FastAPI, backend: Backend) -> None:
    """Add the console under ``/console`` to the API."""
    api.state.sessions = Sessions(
        backend.settings,
        backend.configuration.accounts,
        RedisSessions(backend.redis, prefix=backend.settings.topic_prefix),
    )
    for module in _MODULES:
        api.include_router(module.router)
    api.mount(
        f"{PATH}/static",
        Static(packages=[("processor.http.console", "static")]),
        name="console-static",
    )
    api.include_router(_nowhere)
