"""Opt-outs and opt-ins by hour, service and language: a chart, and a table of its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import nsmallest
from itertools import islice

from fastapi import APIRouter, Request, Response

from processor.configuration.languages import languages
from processor.core.messages import OptOutType
from processor.http.backend import Backend, BackendIs
from processor.http.console.chart import chart_of
from processor.http.console.figures import DAY_HOURS, added, alarms_of, hours_of, known_hours
from processor.http.console.naming import Unclear, as_typed, options, the_one, visible
from processor.http.console.pages import Page, page
from processor.http.console.sessions import PATH, SessionIs
from processor.statistics.hourly import ALL, Hourly
from schemas.messaging_service import MessagingService

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

_DAYS = (1, 2, 7)
_KINDS = (OptOutType.STOP, OptOutType.START)
_NO_SERVICE = "none"
_STANDARD = "standard"
_MOST_ROWS = 100
_MOST_ALARMS = 20

_Of = tuple[str, str | None]  # an account, and a service of it
_Row = tuple[str | None, int, int, _Of]  # language, opt-outs, opt-ins


@router.get("/rates")
async def rates(
    request: Request,
    backend: BackendIs,
    session: SessionIs,
    service: str = "",
    language: str = "",
    days: str = "",
) -> Response:
    """Show the chart that the form asks for."""
    backend.counts.hourly.move(backend.counts.clock_ms())
    services = visible(backend, session.caller)
    length = int(days) if days in map(str, _DAYS) else _DAYS[0]
    typed, problem, shown = service, "", {}
    try:
        chosen = None if service in ("", _NO_SERVICE) else the_one(services, service)
    except Unclear as error:
        problem = str(error)
    else:
        typed = as_typed(services, chosen) if chosen else service
        account = chosen.account_sid if chosen else session.caller.account_sid or ALL
        sid = chosen.sid if chosen else None if service == _NO_SERVICE else ALL
        shown = _shown(backend, chosen, (account, sid), language, DAY_HOURS * length)
    everything = backend.counts.hourly.of(session.caller.account_sid or ALL, ALL)
    return page(
        request,
        "rates",
        status=422 if problem else 200,
        asked={"service": typed, "language": language, "days": length},
        problem=problem,
        options=[*options(services), (_NO_SERVICE, "messages to no service")],
        languages=_named({name[1] for name in everything if name[1]}),
        all_days=_DAYS,
        **_alarms(backend, services),
        **shown,
    )


def _alarms(backend: Backend, services: Sequence[MessagingService]) -> dict[str, object]:
    counts = backend.counts
    found = alarms_of(counts.hourly, services if counts.loaded else (), counts.clock_ms())
    return {
        "alarms": list(islice(found, _MOST_ALARMS)),
        "more_alarms": sum(1 for _ in found),
        "loaded": counts.loaded,
        "left_out": counts.hourly.left_out,
    }


def _shown(
    backend: Backend, chosen: MessagingService | None, of: _Of, language: str, hours: int
) -> dict[str, object]:
    """Make the chart and its tables."""
    hourly, now_ms = backend.counts.hourly, backend.counts.clock_ms()
    kinds = hourly.of(*of)
    tag = None if language == _STANDARD else language
    outs, ins = (added(kinds, kind, tag) for kind in _KINDS)
    # A usual range is only meaningful for a whole service.
    ranged = chosen is not None and not language
    known = known_hours(chosen, now_ms) if chosen and ranged and backend.counts.loaded else None
    made = hours_of(outs, ins, hours, now_ms, known=known)
    each = [of] if of[1] != ALL else hourly.services(of[0])
    rows = (row for one in each for row in _rows(hourly, one, tag, hours))
    most = nsmallest(_MOST_ROWS, rows, key=_rank)
    return {
        "chosen": chosen,
        "ranged": ranged,
        "hours": made,
        "chart": chart_of(made),
        "rows": [(_name(backend, *one), *row) for *row, one in most],
        "most": _MOST_ROWS,
    }


def _rank(row: _Row) -> tuple[int, str, str, str]:
    tag, outs, _, (account, sid) = row
    return -outs, tag or "", account, sid or ""


def _named(tags: set[str]) -> dict[str, str]:
    known = languages()
    return {tag: known[tag].name if tag in known else tag for tag in sorted(tags)}


def _rows(hourly: Hourly, of: _Of, language: str | None, hours: int) -> Iterator[_Row]:
    """Make the rows of a service, or of an account."""
    sums: dict[str | None, list[int]] = {}
    for (kind, tag), counts in hourly.of(*of).items():
        if kind in _KINDS and language in ("", tag):
            sums.setdefault(tag, [0, 0])[_KINDS.index(kind)] += sum(counts[-hours:])
    for tag, (outs, ins) in sums.items():
        if outs or ins:
            yield tag, outs, ins, of


def _name(backend: Backend, account: str, sid: str | None) -> str:
    if sid is None:
        return "no service"
    stored = backend.configuration.services.get(sid)
    # The sid is from a message, so it may belong to another account.
    return stored.head.friendly_name if stored and stored.head.account_sid == account else sid
