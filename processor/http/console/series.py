"""The times and parts of a chart, from the sums of its period; pure."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime, timedelta

from processor.statistics.hourly import ALL
from processor.statistics.sums import KEPT_DAYS, Bucket, Part, Sums, months_until

_MONTH, _DAY = re.compile(r"\d{4}-\d\d"), re.compile(r"\d{4}-\d\d-\d\d")
_HOURS = 24


@dataclass(frozen=True, slots=True)
class Period:
    """A day with its hours, a month with its days, or the last thirteen months."""

    name: str  # 2026-11-17, 2026-11 or ""
    now: datetime  # UTC

    @property
    def unit(self) -> str:
        """The time that a bar has."""
        return {0: "month", 7: "day", 10: "hour"}[len(self.name)]

    @property
    def before(self) -> str:
        """The name of the longer period that has this period as a bar."""
        return self.name[:7] if self.unit == "hour" else ""

    def buckets(self, account_sid: str, service_sid: str) -> list[Bucket]:
        """The hashes with the sums by time."""
        if self.name:
            return [Bucket(account_sid, service_sid, self.name)]
        years = {month[:4] for month in months_until(self.now.date())}
        return [Bucket(account_sid, service_sid, year) for year in sorted(years)]

    def part_buckets(self, account_sid: str, service_sid: str, part: Part) -> list[Bucket]:
        """The hashes with the sums by a part, of the whole period."""
        periods = [self.name] if self.name else months_until(self.now.date())
        return [Bucket(account_sid, service_sid, one, of=part == "of") for one in periods]


def period_of(text: str, now: datetime) -> Period:
    """The period of a page; all months if the text names none, or one that is forgotten."""
    today = now.date()
    if text in months_until(today) and _MONTH.fullmatch(text):
        return Period(text, now)
    if _DAY.fullmatch(text):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return Period("", now)
        if today - timedelta(days=KEPT_DAYS - 1) <= day <= today:
            return Period(text, now)
    return Period("", now)


@dataclass(frozen=True, slots=True)
class Counts:
    """The opt-outs, opt-ins and sends of a time or a part."""

    opt_outs: int
    opt_ins: int
    helps: int
    sends: int  # that were allowed
    refused: int
    suspended: int
    rated: int = 0  # the opt-outs of times whose sends are known

    @property
    def rate(self) -> float | None:
        """Opt-outs for each thousand allowed sends, of the times for which both are known."""
        return 1_000 * self.rated / self.sends if self.sends else None


def counts_at(by_kind: Sequence[Mapping[int, int]], slot: int) -> Counts:
    """The counts of a time.

    Args:
        by_kind: sums by time, a mapping for each of ``KINDS``.
        slot: the hour, day or month.
    """
    return _rated(*(each.get(slot, 0) for each in by_kind))


def _rated(
    opt_outs: int, opt_ins: int, helps: int, sends: int, refused: int, suspended: int
) -> Counts:
    rated = opt_outs if sends else 0
    return Counts(opt_outs, opt_ins, helps, sends, refused, suspended, rated)


def counts_of(sums: Sums) -> Counts:
    """The counts of a whole period."""
    by_kind = [sums.at(kind) for kind in KINDS]
    return added(counts_at(by_kind, slot) for slot in {slot for each in by_kind for slot in each})


@dataclass(frozen=True, slots=True)
class Slot:
    """A bar's time and its counts."""

    name: str  # as the page shows it
    begin: datetime
    period: str  # the name of its own chart; "" if none is kept
    counts: Counts


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a period."""

    name: str
    counts: Counts


KINDS = ("STOP", "START", "HELP", "allowed", "refused", "suspended")


def slots_of(period: Period, sums: Sequence[Sums]) -> list[Slot]:
    """The bars of a period, of the sums of its buckets; without those that are still to come."""
    if not period.name:
        by_year = {
            bucket.period: one for bucket, one in zip(period.buckets(ALL, ALL), sums, strict=True)
        }
        months = months_until(period.now.date())
        return [_month(name, by_year[name[:4]]) for name in months]
    [one] = sums
    by_kind = [one.at(kind) for kind in KINDS]
    if period.unit == "hour":
        first = datetime.fromisoformat(period.name).replace(tzinfo=UTC)
        hours = [first + timedelta(hours=hour) for hour in range(_HOURS)]
        return [
            Slot(f"{at:%H}:00", at, "", counts_at(by_kind, at.hour))
            for at in hours
            if at <= period.now
        ]
    year, month = map(int, period.name.split("-"))
    days = [date(year, month, day + 1) for day in range(monthrange(year, month)[1])]
    oldest = period.now.date() - timedelta(days=KEPT_DAYS - 1)
    return [
        Slot(
            f"{day:%a %d}",
            datetime(day.year, day.month, day.day, tzinfo=UTC),
            day.isoformat() if day >= oldest else "",
            counts_at(by_kind, day.day),
        )
        for day in days
        if day <= period.now.date()
    ]


def _month(name: str, year: Sums) -> Slot:
    begin = datetime.fromisoformat(f"{name}-01").replace(tzinfo=UTC)
    counts = counts_at([year.at(kind) for kind in KINDS], begin.month)
    return Slot(f"{begin:%b %Y}", begin, name, counts)


def added(counts: Iterable[Counts]) -> Counts:
    """The sum of counts."""
    rows = [astuple(one) for one in counts]
    return Counts(*map(sum, zip(*rows, strict=True))) if rows else Counts(0, 0, 0, 0, 0, 0)


def shares_of(
    sums: Sequence[Sums], part: Part, whole: Counts, *, rest: str, named: Mapping[str, str]
) -> list[Share]:
    """The parts of a period, those with the most opt-outs first.

    Args:
        sums: of the period's buckets for this part.
        part: by which to divide.
        whole: of the period.
        rest: the name of opt-outs that have no such part.
        named: names that are shown instead of a part's own.
    """
    found: dict[str, list[Counts]] = {}
    for one in sums:
        by_kind = [one.by(part, kind) for kind in KINDS]
        for name in {name for each in by_kind for name in each}:
            counts = _rated(*(each.get(name, 0) for each in by_kind))
            found.setdefault(name, []).append(counts)
    shares = [Share(named.get(name, name), added(counts)) for name, counts in found.items()]
    known = added(share.counts for share in shares)
    left = Counts(
        whole.opt_outs - known.opt_outs,
        whole.opt_ins - known.opt_ins,
        whole.helps - known.helps,
        *(0, 0, 0),  # sends have no language, keyword or type of sender
    )
    if part != "of" and (left.opt_outs > 0 or left.opt_ins > 0 or left.helps > 0):
        shares.append(Share(rest, left))
    return sorted(shares, key=lambda share: (-share.counts.opt_outs, share.name))
