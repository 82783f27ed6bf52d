"""The findings of an audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["lost", "duplicated", "reordered", "contradictory", "differs", "leak"]


@dataclass(frozen=True, slots=True)
class Violation:
    """A violation of the rules; it never contains a number or a body."""

    kind: Kind
    where: str  # topic[partition]@offset and an id, or Redis key and a change's id
    what: str


@dataclass(frozen=True, slots=True)
class Report:
    """Counts of records read and checked, and the violations found.

    ``counts`` has the records read by topic (its name without the prefix). It also has
    ``events_checked``, ``verdicts_checked``, ``entries_checked`` and ``redis_entries_checked``.
    ``sends_not_judged_yet`` and ``messages_not_matched_yet`` are past the group's committed offset.
    ``not_checked`` counts records whose check needs other records that retention deleted.
    """

    counts: Mapping[str, int]
    violations: Sequence[Violation]


@dataclass(slots=True)
class Findings:
    """Collects the findings of the checks."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)

    def add(self, kind: Kind, where: str, what: str) -> None:
        """Add a violation."""
        self.violations.append(Violation(kind, where, what))
