"""Opt-outs and opt-ins by the hour, folded into a bounded window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from processor.core.messages import OptOutType

KEPT_HOURS = 7 * 24  # the one that runs among them
_KEPT = 500_000  # figures, some hundred bytes each


class Series(NamedTuple):
    """What is counted apart."""

    account_sid: str
    service_sid: str | None  # None: the message was to no service
    kind: OptOutType
    language: str | None  # None: a standard keyword


@dataclass(frozen=True, slots=True)
class Counted:
    """So many matches of a series at a time."""

    series: Series
    count: int
    at_ms: int


def hour_of(at_ms: int) -> int:
    """Hours since 1970 UTC."""
    return at_ms // 3_600_000


class Hourly:
    """Matches by series and hour of the last seven days; older ones are forgotten.

    Args:
        kept: figures at most; where there are as many, only hours that have one are added to.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._hours: dict[int, Counter[Series]] = {}
        self._kept = kept
        self.left_out = 0  # matches for which there was no room

    def add(self, counted: Counted, now_ms: int) -> None:
        """Count matches whose hour is in the window, or next: clocks differ."""
        hour, now = hour_of(counted.at_ms), hour_of(now_ms)
        if not now - KEPT_HOURS < hour <= now + 1:
            return
        figures = self._hours.get(hour)
        if figures is None:
            self.forget(now_ms)
            figures = self._hours[hour] = Counter()
        if counted.series not in figures and self.figures >= self._kept:
            self.left_out += counted.count
            return
        figures[counted.series] += counted.count

    def forget(self, now_ms: int) -> None:
        """Drop hours that are too old."""
        first = hour_of(now_ms) - KEPT_HOURS + 1
        for hour in [hour for hour in self._hours if hour < first]:
            del self._hours[hour]

    @property
    def figures(self) -> int:
        """How many figures are kept."""
        return sum(map(len, self._hours.values()))

    def found(self, first_hour: int) -> Iterator[tuple[int, Series, int]]:
        """Every figure from an hour on."""
        for hour, figures in self._hours.items():
            if hour >= first_hour:
                for series, count in figures.items():
                    yield hour, series, count
