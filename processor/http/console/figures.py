"""Opt-outs by the hour for the console, and services out of their usual range."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from processor.core.messages import OptOutType
from processor.http.responses.services import created_at
from processor.statistics.hourly import KEPT_HOURS, Counts, Hourly, Kinds, hour_of
from processor.statistics.usual_range import LEAST_HOURS, Alarm, Usual, may_be_unusual, usual
from processor.wire.json_values import to_ms
from schemas.messaging_service import MessagingService

DAY_HOURS = 24


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of a chart."""

    at: datetime
    opt_outs: int
    opt_ins: int
    usual: Usual | None
    alarm: Alarm | None


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """A service's last 24 hours."""

    opt_outs: int
    opt_ins: int
    matches: int  # of all kinds, including HELP
    latest: Hour | None  # the current or the last hour, if out of the usual range

    @property
    def share(self) -> int | None:
        """Opt-outs for each hundred keyword messages; None if there were none."""
        return round(100 * self.opt_outs / self.matches) if self.matches else None


def known_hours(service: MessagingService, now_ms: int) -> int:
    """Count the hours for which a service's figures are known, including the current hour."""
    return min(KEPT_HOURS, hour_of(now_ms) - hour_of(to_ms(created_at(service))) + 1)


def added(kinds: Kinds, kind: OptOutType, language: str | None = "") -> Counts:
    """Add up the counts of a kind in a language, or in all if it is empty."""
    rows = [
        counts for name, counts in kinds.items() if name[0] is kind and language in ("", name[1])
    ]
    return list(map(sum, zip(*rows, strict=True))) if rows else [0] * KEPT_HOURS


def hours_of(
    opt_outs: Counts, opt_ins: Counts, hours: int, now_ms: int, *, known: int | None
) -> list[Hour]:
    """Make the last hours, with the current hour last.

    Args:
        opt_outs: counts of opt-outs.
        opt_ins: counts of opt-ins.
        hours: number of hours.
        now_ms: since 1970.
        known: hours from which to compute a usual range; None if a range has no meaning.
    """
    return [_hour(opt_outs, opt_ins, back, now_ms, known or 0) for back in range(hours - 1, -1, -1)]


def _hour(opt_outs: Counts, opt_ins: Counts, back: int, now_ms: int, known: int) -> Hour:
    at = KEPT_HOURS - 1 - back
    found, alarm = _told(opt_outs, back, known)
    started = datetime.fromtimestamp(3_600 * (hour_of(now_ms) - back), UTC)
    return Hour(started, opt_outs[at], opt_ins[at], found, alarm)


def _told(opt_outs: Counts, back: int, known: int) -> tuple[Usual | None, Alarm | None]:
    at = KEPT_HOURS - 1 - back
    found = usual(tuple(opt_outs[KEPT_HOURS - known : at]))
    return found, found.alarm(opt_outs[at], over=back > 0) if found else None


def figures_of(hourly: Hourly, service: MessagingService, now_ms: int) -> ServiceFigures:
    """Compute the last 24 hours of a service."""
    hourly.move(now_ms)
    kinds = hourly.of(service.account_sid, service.sid)
    outs, ins, helps = (sum(added(kinds, kind)[-DAY_HOURS:]) for kind in OptOutType)
    return ServiceFigures(outs, ins, outs + ins + helps, _latest(kinds, service, now_ms))


def alarms_of(
    hourly: Hourly, services: Iterable[MessagingService], now_ms: int
) -> Iterator[tuple[MessagingService, Hour]]:
    """Find the services out of their usual range, each with the hour."""
    hourly.move(now_ms)
    for service in services:
        kinds = hourly.of(service.account_sid, service.sid)
        if kinds and (hour := _latest(kinds, service, now_ms)):
            yield service, hour


def _latest(kinds: Kinds, service: MessagingService, now_ms: int) -> Hour | None:
    """Return the current or the last hour if it is out of the usual range."""
    total = now = before = 0
    for (kind, _), counts in kinds.items():
        if kind is OptOutType.STOP:
            total += sum(counts)
            now += counts[-1]
            before += counts[-2]
    latest = max(now, before)
    if not may_be_unusual(latest, total, LEAST_HOURS):
        return None  # however many hours are known: most services end here
    known = known_hours(service, now_ms)
    if not may_be_unusual(latest, total, known):
        return None
    outs = added(kinds, OptOutType.STOP)
    for back in (0, 1):
        if _told(outs, back, known)[1]:
            return _hour(outs, added(kinds, OptOutType.START), back, now_ms, known)
    return None
