"""Opt-outs and opt-ins by hour, in a bounded window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from processor.core.messages import OptOutType

KEPT_HOURS = 7 * 24  # including the current hour
ALL = "*"  # every account, or every service of an account; never a sid
_KEPT = 50_000  # series, 1.4 kB each

Counts = Sequence[int]
"""Matches in each of the kept hours, the current hour last."""

Kinds = Mapping[tuple[OptOutType, str | None], Counts]
"""Counts of each kind in each language."""


_Service = tuple[str, str | None]  # account and service


class Series(NamedTuple):
    """The parts that are counted separately."""

    account_sid: str
    service_sid: str | None  # None: the message named no service
    kind: OptOutType
    language: str | None  # None: a standard keyword


@dataclass(frozen=True, slots=True)
class Counted:
    """A number of matches of a series at a time."""

    series: Series
    count: int
    at_ms: int


def hour_of(at_ms: int) -> int:
    """The number of hours since 1970 UTC."""
    return at_ms // 3_600_000


class Hourly:
    """Matches by series and hour of the last seven days; older matches are forgotten.

    Sums are stored by service, by account and for all, as they are requested.

    Args:
        kept: the most series and sums; when it is reached, only known series still count.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._services: dict[_Service, dict[tuple[OptOutType, str | None], list[int]]] = {}
        self._kept = kept
        self._first = 0  # the hour that each list begins with
        self.series = 0  # how many are kept
        self.left_out = 0  # matches that were not counted, for lack of room

    def add(self, counted: Counted, now_ms: int) -> None:
        """Count matches in the window; clocks differ, so the next hour counts as this hour."""
        self.move(now_ms)
        at = hour_of(counted.at_ms) - self._first
        if not 0 <= at <= KEPT_HOURS:
            return
        at = min(at, KEPT_HOURS - 1)
        account, service, kind, language = counted.series
        sums = [(ALL, ALL), (account, ALL), (account, service)]
        if service is None:
            sums.append((ALL, None))
        found = [self._counts(one, (kind, language)) for one in sums]
        for counts in found:
            if counts is not None:
                counts[at] += counted.count
        if None in found:
            self.left_out += counted.count

    def _counts(self, service: _Service, name: tuple[OptOutType, str | None]) -> list[int] | None:
        counts = self._services.get(service, {}).get(name)
        if counts is None and self.series < self._kept:
            counts = [0] * KEPT_HOURS
            self._services.setdefault(service, {})[name] = counts
            self.series += 1
        return counts

    def move(self, now_ms: int) -> None:
        """Move the window's end to this hour, and forget older hours."""
        hours = hour_of(now_ms) - KEPT_HOURS + 1 - self._first
        if hours <= 0:
            return
        self._first += hours
        for service, kinds in list(self._services.items()):
            for name, counts in list(kinds.items()):
                del counts[:hours]
                counts += [0] * (KEPT_HOURS - len(counts))
                if not any(counts):
                    del kinds[name]
                    self.series -= 1
            if not kinds:
                del self._services[service]

    def of(self, account_sid: str, service_sid: str | None) -> Kinds:
        """The counts of a service, or of ``ALL``."""
        return self._services.get((account_sid, service_sid), {})

    def services(self, account_sid: str) -> Iterator[tuple[str, str | None]]:
        """Accounts and services with figures: of one account, or of ``ALL``."""
        for account, service in self._services:
            theirs = account_sid == ALL and service is not None
            if service != ALL and (account == account_sid or theirs):
                yield account, service
