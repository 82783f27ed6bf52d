"""Opt-outs and sends by hour, day and month, and by their parts: charts, tables, and CSV files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

from fastapi import APIRouter, Request, Response

from processor.configuration.languages import languages
from processor.http.backend import Backend, BackendIs
from processor.http.console.bars import Bars, Column, bars_of
from processor.http.console.chart_files import csv_of_parts, csv_of_times
from processor.http.console.naming import Unclear, as_typed, options, the_one, visible
from processor.http.console.pages import Page, page
from processor.http.console.series import (
    Counts,
    Period,
    Share,
    Slot,
    added,
    period_of,
    shares_of,
    slots_of,
)
from processor.http.console.sessions import PATH, Session, SessionIs
from processor.http.count_sums import Answer
from processor.http.errors import ApiError
from processor.statistics.hourly import ALL
from processor.statistics.sums import NOBODY, OTHERS, Part
from schemas.messaging_service import MessagingService

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

_NO_SERVICE = "none"
_MOST_ROWS = 100
_MOST_SERVICES = 1_000  # more are not read for every month at once
_RESTS = {"language": "Standard keywords", "of": ""}
_SENDER_TYPES = {
    **{"long_code": "long code", "short_code": "short code", "toll_free": "toll free"},
    **{"whatsapp": "WhatsApp", "rcs": "RCS"},
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """The values of the form."""

    account_sid: str
    service_sid: str
    typed: str  # the service
    title: str
    period: Period
    part: Part


@dataclass(frozen=True, slots=True)
class _Found:
    """The figures of a page, and as of when they are."""

    slots: Sequence[Slot]
    shares: Sequence[Share]
    answer: Answer
    too_many: bool  # services, to show them for all months


@router.get("/charts")
async def charts(
    request: Request,
    backend: BackendIs,
    session: SessionIs,
    service: str = "",
    period: str = "",
    by: str = "",
) -> Response:
    """Show the charts that the form asks for."""
    services = visible(backend, session.caller)
    typed, problem, shown = service, "", {}
    try:
        asked = _asked(backend, session, services, (service, period, by))
    except Unclear as error:
        problem = str(error)
        part, when = _part(by), period_of(period, _now(backend))
    else:
        typed, part, when = asked.typed, asked.part, asked.period
        shown = _shown(asked, await _find(backend, asked))
    return page(
        request,
        "charts",
        status=422 if problem else 200,
        asked={"service": typed, "period": when.name, "by": part},
        query={"service": typed, "by": part},
        period=when,
        parts=_parts(session),
        problem=problem,
        options=[*options(services), (_NO_SERVICE, "messages to no service")],
        **shown,
    )


@router.get("/charts.csv")
async def as_csv(
    backend: BackendIs,
    session: SessionIs,
    service: str = "",
    period: str = "",
    by: str = "",
    table: str = "",
) -> Response:
    """Send the figures of a chart, or of its parts, as comma-separated values."""
    try:
        services = visible(backend, session.caller)
        asked = _asked(backend, session, services, (service, period, by))
    except Unclear as error:
        raise ApiError(422, 20001, str(error)) from None
    found = await _find(backend, asked)
    if not found.answer.whole:
        raise ApiError(503, 20503, "The counts are still being read. Try again in a moment.")
    text = (
        csv_of_parts(asked.part, found.shares)
        if table == "parts"
        else csv_of_times(asked.period.unit, found.slots)
    )
    named = "-".join(filter(None, ("optout", asked.period.name or "months", table and asked.part)))
    return Response(
        text,
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{named}.csv"'},
    )


def _asked(
    backend: Backend,
    session: Session,
    services: Sequence[MessagingService],
    typed: tuple[str, str, str],
) -> _Asked:
    """Read the form: service, period and part.

    Raises:
        Unclear: it names no service, or several.
    """
    service, period, by = typed
    chosen = None if service in ("", _NO_SERVICE) else the_one(services, service)
    account = chosen.account_sid if chosen else session.caller.account_sid or ALL
    sid = chosen.sid if chosen else NOBODY if service == _NO_SERVICE else ALL
    if sid == NOBODY and account == ALL:
        raise Unclear("Messages to no service are counted by account: sign in as the account.")
    return _Asked(
        account,
        sid,
        as_typed(services, chosen) if chosen else service,
        f" of {chosen.friendly_name}" if chosen else " to no service" if sid == NOBODY else "",
        period_of(period, _now(backend)),
        _part(by),
    )


def _part(by: str) -> Part:
    known: tuple[Part, ...] = get_args(Part)
    return next((part for part in known if part == by), "of")


def _parts(session: Session) -> dict[str, str]:
    whole = "Account" if session.caller.account_sid is None else "Service"
    return {"of": whole, "language": "Language", "keyword": "Keyword", "sender_type": "Sender type"}


def _now(backend: Backend) -> datetime:
    return datetime.fromtimestamp(backend.sums.clock_ms() / 1000, UTC)


async def _find(backend: Backend, asked: _Asked) -> _Found:
    """Read the sums, in one trip."""
    of, period, part = (asked.account_sid, asked.service_sid), asked.period, asked.part
    too_many = part == "of" and not period.name and _services(backend, asked) > _MOST_SERVICES
    times = period.buckets(*of)
    divided = part != "of" or (asked.service_sid == ALL and not too_many)
    answer = await backend.sums.read([*times, *(period.part_buckets(*of, part) if divided else ())])
    slots = slots_of(period, answer.sums[: len(times)])
    shares = shares_of(
        answer.sums[len(times) :],
        part,
        added(slot.counts for slot in slots),
        rest=_RESTS.get(part, "not known"),
        named=_names(backend, asked),
    )
    return _Found(slots, shares, answer, too_many)


def _services(backend: Backend, asked: _Asked) -> int:
    """How many parts a division by service, or by account, has at most."""
    if asked.account_sid == ALL:
        return len(backend.configuration.accounts.all())
    return backend.configuration.services.size_of(asked.account_sid)[0]


def _names(backend: Backend, asked: _Asked) -> dict[str, str]:
    """The names of parts that are not shown as they are."""
    named = {NOBODY: "no service", OTHERS: "all others"}
    if asked.part == "language":
        named |= {tag: one.name for tag, one in languages().items()}
    elif asked.part == "sender_type":
        named |= _SENDER_TYPES
    elif asked.part == "of" and asked.account_sid == ALL:
        accounts = backend.configuration.accounts.all()
        named |= {one.sid: one.friendly_name for one in accounts}
    elif asked.part == "of":
        stored = backend.configuration.services.of_account(asked.account_sid)
        named |= {one.head.sid: one.head.friendly_name for one in stored}
    return named


def _shown(asked: _Asked, found: _Found) -> dict[str, object]:
    """Make the charts and their tables."""
    whole = added(slot.counts for slot in found.slots)
    return {
        "title": asked.title,
        "slots": found.slots,
        "whole": whole,
        "opt_outs": _bars(found.slots, asked, of_sends=False),
        "rates": _bars(found.slots, asked, of_sends=True) if whole.sends else None,
        "shares": found.shares[:_MOST_ROWS],
        "more": len(found.shares) - _MOST_ROWS,
        "most": max((share.counts.opt_outs for share in found.shares), default=0),
        "too_many": found.too_many,
        "as_of": found.answer.as_of,
        "is_whole": found.answer.whole,
    }


def _bars(slots: Sequence[Slot], asked: _Asked, *, of_sends: bool) -> Bars:
    return bars_of(
        [
            Column(
                slot.name,
                (slot.counts.rate or 0.0) if of_sends else slot.counts.opt_outs,
                0 if of_sends else slot.counts.opt_ins,
                f"{slot.name}: {_rate(slot.counts) if of_sends else _counts(slot.counts)}",
                slot.period,
            )
            for slot in slots
        ]
    )


def _counts(one: Counts) -> str:
    outs, ins = one.opt_outs, one.opt_ins
    return f"{outs:,} opt-out{'s' * (outs != 1)}, {ins:,} opt-in{'s' * (ins != 1)}"


def _rate(one: Counts) -> str:
    if one.rate is None:
        return "no send is known"
    return f"{one.rate:.2f} opt-outs for 1,000 sends ({one.rated:,} of {one.sends:,})"
