"""What the console says of opt-outs by the hour: which services are out of their usual range."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from processor.core.hourly import KEPT_HOURS, Hourly, Series, hour_of
from processor.core.messages import OptOutType
from processor.core.usual_range import Usual, usual
from processor.http.answers.services import created_at
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
    alarm: Literal["above", "below"] | None


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """A service's last 24 hours."""

    opt_outs: int
    opt_ins: int
    matches: int  # of any kind, HELP too
    latest: Hour | None  # the last hour out of the usual range: this one or the one before

    @property
    def share(self) -> int | None:
        """Opt-outs in a hundred keyword messages, None where there was none."""
        return round(100 * self.opt_outs / self.matches) if self.matches else None


def first_known(service: MessagingService, now_ms: int) -> int:
    """The first hour since 1970 whose figures of a service are known."""
    return max(hour_of(now_ms) - KEPT_HOURS + 1, hour_of(to_ms(created_at(service))))


def hours_of(
    figures: Iterable[tuple[int, Series, int]], hours: int, now_ms: int, *, known_from: int | None
) -> list[Hour]:
    """The last hours, the one that runs last.

    Args:
        figures: of what is to be added up, from as early as they are known.
        hours: how many.
        now_ms: since 1970.
        known_from: hour since 1970 from which on a usual range may be made of them; None: it has
            no meaning.
    """
    outs, ins = Counter[int](), Counter[int]()
    for hour, series, count in figures:
        if series.kind is OptOutType.STOP:
            outs[hour] += count
        elif series.kind is OptOutType.START:
            ins[hour] += count
    now = hour_of(now_ms)
    made = []
    for hour in range(now - hours + 1, now + 1):
        found = None if known_from is None else usual(outs, hour, known_from)
        alarm = found.alarm(outs[hour], over=hour < now) if found else None
        at = datetime.fromtimestamp(3_600 * hour, UTC)
        made.append(Hour(at, outs[hour], ins[hour], found, alarm))
    return made


def figures_of(
    hourly: Hourly, services: Iterable[MessagingService], now_ms: int
) -> Mapping[str, ServiceFigures]:
    """The last 24 hours of services, by their sids."""
    wanted = {service.sid: service for service in services}
    by_service: dict[str, list[tuple[int, Series, int]]] = {sid: [] for sid in wanted}
    for figure in hourly.found(0):
        sid = figure[1].service_sid
        # The sid is as a message named it; another account's message is not this service's.
        if sid in wanted and wanted[sid].account_sid == figure[1].account_sid:
            by_service[sid].append(figure)
    return {sid: _of_service(found, wanted[sid], now_ms) for sid, found in by_service.items()}


def _of_service(
    figures: list[tuple[int, Series, int]], service: MessagingService, now_ms: int
) -> ServiceFigures:
    # Two hours are judged: the last one that is over, and the one that runs.
    latest = hours_of(figures, 2, now_ms, known_from=first_known(service, now_ms))
    kinds = Counter[OptOutType]()
    for hour, series, count in figures:
        if hour > hour_of(now_ms) - DAY_HOURS:
            kinds[series.kind] += count
    return ServiceFigures(
        kinds[OptOutType.STOP],
        kinds[OptOutType.START],
        kinds.total(),
        next((hour for hour in reversed(latest) if hour.alarm), None),
    )
