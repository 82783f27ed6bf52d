"""Live: matches, list changes, refusals, pace and lag in real time, by server-sent events.

Each stream ends after a minute and the browser opens it again. So it ends with the session even if
another process signed it out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence

from fastapi import APIRouter, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from typing_extensions import TypedDict

from processor.errors import StoreUnavailable
from processor.http.backend import Backend, BackendIs
from processor.http.console.pages import Page, page, render
from processor.http.console.sessions import COOKIE, PATH, SessionIs, Sessions, SignedOut
from processor.http.live import KEPT, TooManyViewers, Viewer
from processor.statistics.live import LiveEvent, Pace, What

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

_STREAM_S = 60.0
_BEAT_S = 1.0
_PAUSE_S = 0.25  # least time between two pushes
_RETRY_MS = 1_000


class _Rows(TypedDict):
    """Values for the template of the rows."""

    events: Sequence[LiveEvent]
    names: dict[str | None, str]  # of services by their sids


class _Figures(TypedDict):
    """Values for the template of the figures."""

    last_minute: Mapping[What, int]
    paces: dict[str, Pace]
    passed: int


@router.get("/live")
async def live(request: Request, backend: BackendIs, session: SessionIs) -> Response:
    """Show the present state; a script keeps it up to date."""
    ready = await backend.live.look()
    account = session.caller.account_sid
    events = backend.live.recent(account)
    rows, figures = _rows(backend, events), _figures(backend, account)
    return page(request, "live", ready=ready, kept=KEPT, **rows, **figures)


@router.get("/live/events", response_class=EventSourceResponse)
async def events(request: Request, backend: BackendIs) -> AsyncIterator[ServerSentEvent]:
    """Serve the stream; refusals are events too, as browsers hide the status from scripts."""
    sessions: Sessions = request.app.state.sessions
    cookie = request.cookies.get(COOKIE, "")
    yield ServerSentEvent(comment="", retry=_RETRY_MS)
    if not backend.configuration.loaded:
        return
    try:
        session = await sessions.read(cookie)
        until_s = time.monotonic() + _STREAM_S
        with backend.live.watching(session.caller.account_sid, session.csrf) as viewer:
            while not await backend.live.look():
                if viewer.ended or time.monotonic() > until_s:
                    return
                yield ServerSentEvent(event="cut", raw_data="no answer")
                await asyncio.sleep(_BEAT_S)
                await sessions.read(cookie)
            viewer.forget()  # the stream starts with the present events
            yield _sent(backend, "begin", backend.live.recent(viewer.account_sid))
            while time.monotonic() < until_s and not viewer.ended:
                async for each in _news(backend, viewer):
                    yield each
                await sessions.read(cookie)  # raises when the session is over
    except SignedOut:
        yield ServerSentEvent(event="ended", raw_data="signed out")
    except StoreUnavailable:
        yield ServerSentEvent(event="cut", raw_data="no answer")  # the browser reconnects
    except TooManyViewers:
        yield ServerSentEvent(event="full", raw_data="too many")


async def _news(backend: Backend, viewer: Viewer) -> AsyncIterator[ServerSentEvent]:
    await asyncio.sleep(_PAUSE_S)
    if (found := await viewer.news(_BEAT_S)) and not viewer.ended:
        yield _sent(backend, "rows", found)
    figures = _figures(backend, viewer.account_sid)
    yield ServerSentEvent(event="figures", raw_data=render("live_figures", **figures))


def _sent(backend: Backend, event: str, events: Sequence[LiveEvent]) -> ServerSentEvent:
    rows = render("live_rows", **_rows(backend, events))
    return ServerSentEvent(event=event, raw_data=rows)


def _rows(backend: Backend, events: Sequence[LiveEvent]) -> _Rows:
    names: dict[str | None, str] = {}
    for one in events:
        service = backend.configuration.services.get(one.service_sid or "")
        if service and service.head.account_sid == one.account_sid:
            names[one.service_sid] = service.head.friendly_name
    return {"events": events, "names": names}


def _figures(backend: Backend, account_sid: str | None) -> _Figures:
    """Render the figures; only operators see pace and lag, which are the whole installation's."""
    whole = account_sid is None
    return {
        "last_minute": backend.live.last_minute(account_sid),
        "paces": backend.live.paces if whole else {},
        "passed": backend.live.passed,
    }
