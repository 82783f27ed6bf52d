"""How long a partition may stand still for what went wrong, as the design says it.

After a fault a partition is worked again within 5 s of the servers being reachable. A killed or
frozen worker adds its session time-out, a lost list the time it takes to build it again.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.plan import KINDS

SETTLED_S = 5.0
REBUILT = 100_000  # entries a second
NOTED_S = 1.0  # shorter stalls do not count


@dataclass(frozen=True, slots=True)
class Stall:
    """A time in which a partition had work that was written, and none of it was answered."""

    what: str  # "verdict" or "reply"
    partition: int
    began: float  # monotonic seconds
    ended: float

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.ended - self.began

    def gaps(self, spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """The parts of it that lie in none of some times, in order."""
        found, at = [], self.began
        for begin, end in sorted(spans):
            if at < min(begin, self.ended):
                found.append((at, min(begin, self.ended)))
            at = max(at, end)
        return [*found, (at, self.ended)] if at < self.ended else found

    def outside(self, spans: Sequence[tuple[float, float]]) -> float:
        """How many of its seconds lie in none of some times."""
        return sum(end - begin for begin, end in self.gaps(spans))


@dataclass(slots=True)
class Harm:
    """A fault as it was carried out; times are monotonic seconds."""

    kind: str
    began: float
    # When the servers could be reached again, or a worker that is gone was to be missed; each
    # time that this happened.
    reachable: list[float] = field(default_factory=list)
    over: float = 0.0  # when all was as before
    entries: int = 0  # that the block list had

    def is_reachable(self) -> None:
        """From now on the servers can be reached."""
        self.reachable.append(time.monotonic())

    def excused(self) -> list[tuple[float, float]]:
        """The times in which it may have kept a partition from being worked."""
        rebuild_s = self.entries / REBUILT if KINDS[self.kind].loses_list else 0.0
        first = min([*self.reachable, self.over])
        begun_again = [*self.reachable, self.over]
        return [
            (self.began, first + SETTLED_S + rebuild_s),
            *((at, at + SETTLED_S + rebuild_s) for at in begun_again),
        ]

    @property
    def matters_until(self) -> float:
        """When nothing may stand still for it any more."""
        return max(end for _, end in self.excused())


@dataclass(frozen=True, slots=True)
class Judged:
    """A stall, the faults that may have caused it, and what none of them excuses."""

    stall: Stall
    kinds: tuple[str, ...]  # in the order in which they began
    excess_s: float
    after: str | None  # the fault that was the last to excuse it before most of that

    @property
    def is_too_long(self) -> bool:
        """Whether the design does not allow it."""
        return self.excess_s > NOTED_S


def judged(stalls: Sequence[Stall], harms: Sequence[Harm]) -> list[Judged]:
    """Compare stalls with the faults at the time, longest excess first."""
    found = []
    for stall in stalls:
        active = [
            harm
            for harm in sorted(harms, key=lambda harm: harm.began)
            if harm.began < stall.ended and harm.matters_until > stall.began
        ]
        spans = [(*span, harm.kind) for harm in active for span in harm.excused()]
        gaps = stall.gaps([(begin, end) for begin, end, _ in spans])
        largest = max(gaps, key=lambda gap: gap[1] - gap[0], default=(0.0, 0.0))
        after = max(((end, kind) for _, end, kind in spans if end <= largest[0]), default=None)
        kinds = tuple(dict.fromkeys(harm.kind for harm in active))
        excess_s = sum(end - begin for begin, end in gaps)
        found.append(Judged(stall, kinds, excess_s, after[1] if after and gaps else None))
    return sorted(found, key=lambda one: (-one.excess_s, -one.stall.seconds))


@dataclass(frozen=True, slots=True)
class Longest:
    """The longest stalls beside a kind of fault, in seconds."""

    of_all: float = 0.0
    alone: float = 0.0  # of those beside which nothing else went on
    excess: float = 0.0  # of those that it was the last to excuse


def longest(found: Sequence[Judged]) -> Mapping[str, Longest]:
    """The longest stall by kind of fault; "none" for those beside no fault."""
    by_kind: dict[str, Longest] = defaultdict(Longest)
    for one in found:
        seconds = one.stall.seconds
        for kind in one.kinds or ("none",):
            before = by_kind[kind]
            alone = seconds if len(one.kinds) < 2 else 0.0
            excess_s = one.excess_s if kind == (one.after or "none") else 0.0
            by_kind[kind] = Longest(
                max(before.of_all, seconds),
                max(before.alone, alone),
                max(before.excess, excess_s),
            )
    return dict(by_kind)
