"""Opt-outs and opt-ins by hour, service and language: a chart, and its figures as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from fastapi import APIRouter, Request, Response

from processor.core.hourly import Series, hour_of
from processor.core.messages import OptOutType
from processor.http.backend import Backend, BackendIs
from processor.http.console.chart import chart_of
from processor.http.console.figures import DAY_HOURS, figures_of, first_known, hours_of
from processor.http.console.pages import Page, page
from processor.http.console.services import visible
from processor.http.console.sessions import PATH, Session, SessionIs
from processor.http.services import find
from processor.keywords.load import languages

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

_DAYS = (1, 2, 7)
_NO_SERVICE = "none"
_STANDARD = "standard"


@router.get("/rates")
async def rates(
    request: Request,
    backend: BackendIs,
    session: SessionIs,
    service: str = "",
    language: str = "",
    days: str = "",
) -> Response:
    """The chart, of what the form asks for."""
    now_ms = backend.counts.clock_ms()
    services = visible(backend, session.caller)
    chosen = next((one for one in services if one.sid == service), None)
    if service not in ("", _NO_SERVICE) and chosen is None:
        find(request, backend, session.caller, service)  # says that it is not there
    mine = list(_figures(backend, session))
    of_service = [
        one
        for one in mine
        if service in ("", one[1].service_sid or _NO_SERVICE)
        and (chosen is None or one[1].account_sid == chosen.account_sid)
    ]
    shown = [one for one in of_service if language in ("", one[1].language or _STANDARD)]
    length = int(days) if days in map(str, _DAYS) else _DAYS[0]
    loaded = backend.counts.loaded
    # A range of several services together, or of a part of one, would say nothing of any.
    ranged = chosen is not None and not language
    known_from = first_known(chosen, now_ms) if chosen and ranged and loaded else None
    hours = hours_of(shown, DAY_HOURS * length, now_ms, known_from=known_from)
    alarms = figures_of(backend.counts.hourly, services, now_ms) if loaded else {}
    return page(
        request,
        "rates",
        services=services,
        languages=_named({one[1].language for one in mine if one[1].language}),
        asked={"service": service, "language": language, "days": length},
        all_days=_DAYS,
        chosen=chosen,
        ranged=ranged,
        hours=hours,
        chart=chart_of(hours),
        totals=_totals(shown, hour_of(now_ms) - DAY_HOURS * length),
        names={one.sid: one.friendly_name for one in services},
        alarms=[(one, alarms[one.sid].latest) for one in services if one.sid in alarms],
        loaded=loaded,
        left_out=backend.counts.hourly.left_out,
    )


def _named(tags: set[str]) -> dict[str, str]:
    known = languages()
    return {tag: known[tag].name if tag in known else tag for tag in sorted(tags)}


def _figures(backend: Backend, session: Session) -> Iterator[tuple[int, Series, int]]:
    """Every figure that one may see."""
    account = session.caller.account_sid
    for one in backend.counts.hourly.found(0):
        if account in (None, one[1].account_sid):
            yield one


def _totals(
    figures: list[tuple[int, Series, int]], after_hour: int
) -> list[tuple[str | None, str | None, int, int]]:
    """Service, language, opt-outs, opt-ins; most opt-outs first."""
    counts = Counter[tuple[str | None, str | None, OptOutType]]()
    for hour, series, count in figures:
        if hour > after_hour:
            counts[series.service_sid, series.language, series.kind] += count
    rows = {
        (sid, language): (
            counts[sid, language, OptOutType.STOP],
            counts[sid, language, OptOutType.START],
        )
        for sid, language, _ in list(counts)
    }
    made = [(*key, *row) for key, row in rows.items()]
    return sorted(made, key=lambda row: (-row[2], row[0] or "", row[1] or ""))
