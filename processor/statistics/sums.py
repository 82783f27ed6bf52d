"""Sums of what was counted, by the hour, day and month, and by language, keyword and sender type.

A sum is a field of a hash. There is a hash for each account, service and period, so that a page
reads few of them. A day has its hours, a month its days, a year its months; a day and a month also
have the parts of their whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple

from processor.statistics.hourly import ALL

KEPT_MONTHS = 13  # including the current month
KEPT_DAYS = 35  # of which the hours are known, including today
_DAY_MS = 86_400_000
_AHEAD_MS = 3_600_000

Part = Literal["language", "keyword", "sender_type", "of"]
"""The ways to divide a sum; ``of``: by an account's services, or by everybody's accounts."""

NOBODY = "~"  # the service of what names none; never a sid
OTHERS = "*"  # the parts that had no room


@dataclass(frozen=True, slots=True)
class Counted:
    """A number of matches or sends at a time."""

    account_sid: str
    service_sid: str | None
    kind: str  # STOP, START, HELP; of sends: allowed, refused, suspended
    count: int
    at_ms: int
    parts: tuple[tuple[str, str], ...] = ()  # language, keyword and sender type, where known


class Bucket(NamedTuple):
    """The name of a hash of sums."""

    account_sid: str  # or ALL
    service_sid: str  # or ALL
    period: str  # 2026, 2026-11 or 2026-11-17
    of: bool = False  # only the sums by service, or by account

    @property
    def until_ms(self) -> int:
        """When it is forgotten, since 1970."""
        numbers = [int(part) for part in self.period.split("-")]
        first = date(*[*numbers, 1, 1][:3])
        days = {1: 366 + 31 * KEPT_MONTHS, 2: 31 * (KEPT_MONTHS + 1), 3: KEPT_DAYS + 1}
        kept = first + timedelta(days=days[len(numbers)])
        return _DAY_MS * (kept - date(1970, 1, 1)).days


def additions(counted: Counted) -> Iterator[tuple[Bucket, str]]:
    """The sums that a count goes into: hashes and their fields."""
    account, service, kind = counted.account_sid, counted.service_sid or NOBODY, counted.kind
    at = datetime.fromtimestamp(counted.at_ms / 1000, UTC)
    year, month, day, hour = f"{at:%Y %Y-%m %Y-%m-%d %H}".split()
    slots = ((year, month[5:]), (month, day[8:]), (day, hour))
    for of in ((ALL, ALL), (account, ALL), (account, service)):
        for period, slot in slots:
            yield Bucket(*of, period), f"at:{kind}:{slot}"
        for period in (month, day):
            for part, name in counted.parts:
                yield Bucket(*of, period), f"{part}:{kind}:{name}"
    for period in (month, day):
        yield Bucket(ALL, ALL, period, of=True), f"of:{kind}:{account}"
        yield Bucket(account, ALL, period, of=True), f"of:{kind}:{service}"


def summed(counted: Iterable[Counted], now_ms: int) -> dict[Bucket, Counter[str]]:
    """The additions of counts to each hash, without hashes that are forgotten by now."""
    found: dict[Bucket, Counter[str]] = {}
    for one in counted:
        if one.at_ms > now_ms + _AHEAD_MS:  # no clock is that far ahead
            continue
        for bucket, field in additions(one):
            if bucket in found or bucket.until_ms > now_ms:
                found.setdefault(bucket, Counter())[field] += one.count
    return found


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums of a hash, or of the same hash in several partitions together."""

    fields: Mapping[str, int]

    def at(self, kind: str) -> dict[int, int]:
        """The sums of a kind by hour, day or month."""
        return {int(slot): count for slot, count in self.by("at", kind).items()}

    def by(self, part: Part | Literal["at"], kind: str) -> dict[str, int]:
        """The sums of a kind by language, keyword or sender type, of the counts that have one."""
        begins = f"{part}:{kind}:"
        return {
            name.removeprefix(begins): count
            for name, count in self.fields.items()
            if name.startswith(begins)
        }

    def total(self, kind: str) -> int:
        """The sum of a kind in the whole period."""
        return sum(self.by("at", kind).values())


def together(sums: Iterable[Mapping[str, int]]) -> Sums:
    """Add up hashes."""
    found: Counter[str] = Counter()
    for one in sums:
        found.update(one)
    return Sums(found)


def months_until(now: date, count: int = KEPT_MONTHS) -> list[str]:
    """The last months by name, the current month last."""
    number = 12 * now.year + now.month - 1
    return [f"{one // 12}-{one % 12 + 1:02}" for one in range(number - count + 1, number + 1)]
