"""The findings of an audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["lost", "duplicated", "reordered", "contradictory", "differs", "leak"]
MOST_KEPT = 10_000  # violations of a partition; more are counted


@dataclass(frozen=True, slots=True)
class Violation:
    """A violation of the rules; it never contains a number or a body."""

    kind: Kind
    where: str  # topic[partition]@offset and an id, or Redis key and a change's id
    what: str


@dataclass(frozen=True, slots=True)
class Report:
    """Counts of records read and checked, and the violations found.

    ``counts`` has the records read by topic (its name without the prefix), and what was checked:
    ``messages_checked``, ``events_checked``, ``verdicts_checked``, ``entries_checked``,
    ``deliveries_checked``, ``tries_checked`` (of requests to applications),
    ``redis_entries_checked``. ``…_not_judged_yet``, ``…_not_matched_yet``
    and ``deliveries_waiting`` are past the group's committed offset. ``not_checked`` counts records
    whose check needs others that retention or compaction deleted.
    """

    counts: Mapping[str, int]
    violations: Sequence[Violation]
    until_ms: int = 0  # the moment up to which was audited


@dataclass(slots=True)
class Findings:
    """Collects the findings of the checks of records written within a range of time."""

    since_ms: int | None = None
    until_ms: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)

    def add(self, kind: Kind, where: str, what: str, at_ms: int | None = None) -> None:
        """Add a violation; of a record outside the range it is left out."""
        if at_ms is not None and not self.covers(at_ms):
            return
        self.counts[f"found_{kind}"] += 1
        if len(self.violations) < MOST_KEPT:
            self.violations.append(Violation(kind, where, what))

    def covers(self, at_ms: int) -> bool:
        """Whether a record of this time is in the range."""
        return (self.since_ms is None or at_ms >= self.since_ms) and (
            self.until_ms is None or at_ms <= self.until_ms
        )
