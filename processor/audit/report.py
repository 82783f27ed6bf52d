"""What an audit finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["lost", "duplicated", "reordered", "contradictory", "differs", "leak"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that must not be; it names no number and no body."""

    kind: Kind
    where: str  # topic[partition]@offset and an id, or Redis key and a change's id
    what: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was read and checked, and what was wrong.

    ``counts`` has the records read by topic (its name without the prefix), then:
    ``events_checked``, ``verdicts_checked``, ``entries_checked``, ``redis_entries_checked``;
    ``sends_not_judged_yet`` and ``messages_not_matched_yet`` lie ahead of the group's commit;
    ``not_checked`` needed records that retention deleted.
    """

    counts: Mapping[str, int]
    violations: Sequence[Violation]


@dataclass(slots=True)
class Findings:
    """Where checks put what they find."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)

    def add(self, kind: Kind, where: str, what: str) -> None:
        """Note a violation."""
        self.violations.append(Violation(kind, where, what))
