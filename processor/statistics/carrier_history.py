"""The figures of carriers in the last hour, over all processes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from processor.statistics.carrier_figures import ErrorSeen, Figure, Part

EVERY_S = 10  # a process writes figures so often
IDLE_S = 60  # and so often if nothing happens
KEPT_S = 3_600
SHOWN = 10  # errors
_EVERY_MS = 1_000 * EVERY_S
_MINUTE = 60 // EVERY_S  # records of a process
SILENT_MS = 1_000 * (IDLE_S + 3 * EVERY_S)  # a process has ended that wrote nothing for this long
_MOST_ERRORS = 2_000  # of a carrier's part


@dataclass(frozen=True, slots=True)
class PartNow:
    """A carrier's requests, or its sends: the state in all processes, and what was counted."""

    processes: int = 0
    waiting: int = 0
    paused: int = 0  # processes whose circuit is open
    at_limit: int = 0  # processes whose pace lets no message through
    closed: Sequence[str] = ()  # secrets that some process cannot open
    minute: Mapping[str, int] | None = None  # the last whole one, by result
    hour: Mapping[str, int] | None = None
    errors: Sequence[ErrorSeen] = ()  # newest first

    def of_minute(self, *results: str) -> int:
        """How often the results were counted in the last minute."""
        return sum((self.minute or {}).get(one, 0) for one in results)

    def of_hour(self, *results: str) -> int:
        """How often the results were counted in the last hour."""
        return sum((self.hour or {}).get(one, 0) for one in results)


class _Kept:
    """One part of a carrier."""

    def __init__(self) -> None:
        self._latest: dict[str, Figure] = {}  # by process
        self._counts: dict[int, Counter[str]] = {}  # by ten seconds since 1970
        self._errors: deque[ErrorSeen] = deque(maxlen=_MOST_ERRORS)

    def add(self, figure: Figure, now_ms: int) -> None:
        until_ms = min(figure.until_ms, now_ms)  # its clock may be ahead
        before = self._latest.get(figure.process)
        if before is None or before.until_ms <= figure.until_ms:
            self._latest[figure.process] = figure
        if figure.counts:
            self._counts.setdefault(until_ms // _EVERY_MS, Counter()).update(figure.counts)
        self._errors.extend(figure.errors)
        self._forget(now_ms)

    def now(self, now_ms: int) -> PartNow:
        self._forget(now_ms)
        states = [one.state for one in self._latest.values()]
        last = now_ms // _EVERY_MS  # has only begun
        minute, hour = Counter[str](), Counter[str]()
        for at, counts in self._counts.items():
            hour.update(counts)
            if last - _MINUTE <= at < last:
                minute.update(counts)
        return PartNow(
            processes=len(states),
            waiting=sum(one.waiting for one in states),
            paused=sum(one.paused for one in states),
            at_limit=sum(one.at_limit for one in states),
            closed=sorted({name for one in states for name in one.closed}),
            minute=minute,
            hour=hour,
            errors=_merged(self._errors)[:SHOWN],
        )

    def _forget(self, now_ms: int) -> None:
        since_ms = now_ms - 1_000 * KEPT_S
        for at in [one for one in self._counts if one * _EVERY_MS < since_ms]:
            del self._counts[at]
        silent = [name for name, one in self._latest.items() if one.until_ms < now_ms - SILENT_MS]
        for name in silent:
            del self._latest[name]
        while self._errors and self._errors[0].at_ms < since_ms:
            self._errors.popleft()


class CarrierHistory:
    """Keeps the figures of the last hour by carrier."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, Part], _Kept] = {}

    def add(self, figure: Figure, now_ms: int) -> None:
        """Add a record of a process.

        Args:
            figure: in any order among processes.
            now_ms: since 1970.
        """
        self._kept.setdefault((figure.carrier, figure.part), _Kept()).add(figure, now_ms)

    def of(self, carrier: str, part: Part, now_ms: int) -> PartNow:
        """A part of a carrier as it is now."""
        kept = self._kept.get((carrier, part))
        return kept.now(now_ms) if kept else PartNow()


def _merged(errors: Sequence[ErrorSeen] | deque[ErrorSeen]) -> list[ErrorSeen]:
    """Errors of a kind as one, with their number and the last one's time; newest first."""
    kinds: dict[tuple[str, int | None], ErrorSeen] = {}
    for one in errors:
        before = kinds.get((one.what, one.code))
        count, at_ms = (before.count, before.at_ms) if before else (0, 0)
        kinds[one.what, one.code] = ErrorSeen(
            one.what, one.code, count + one.count, max(at_ms, one.at_ms)
        )
    return sorted(kinds.values(), key=lambda one: -one.at_ms)
