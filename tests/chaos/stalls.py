"""How long a partition may stand still after each fault, by the design.

A partition is worked again within 5 s after the servers are reachable. A killed or frozen worker
adds its session time-out, a lost list the time of its rebuild.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.plan import KINDS

SETTLED_S = 5.0
REBUILT = 100_000  # entries a second
NOTED_S = 1.0  # shorter stalls are ignored


@dataclass(frozen=True, slots=True)
class Stall:
    """A time in which a partition had written work, and none of it was answered."""

    what: str  # "verdict" or "reply"
    partition: int
    began: float  # monotonic seconds
    ended: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.ended - self.began

    def gaps(self, spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """The parts of it outside some times, in order."""
        found, at = [], self.began
        for begin, end in sorted(spans):
            if at < min(begin, self.ended):
                found.append((at, min(begin, self.ended)))
            at = max(at, end)
        return [*found, (at, self.ended)] if at < self.ended else found

    def outside(self, spans: Sequence[tuple[float, float]]) -> float:
        """How many of its seconds are outside some times."""
        return sum(end - begin for begin, end in self.gaps(spans))


@dataclass(slots=True)
class Harm:
    """A fault as it was carried out; times are monotonic seconds."""

    kind: str
    began: float
    # When the servers were reachable again, or the session of a lost worker timed out; one time
    # for each such event.
    reachable: list[float] = field(default_factory=list)
    over: float = 0.0  # when all was as before
    entries: int = 0  # of the block list

    def is_reachable(self) -> None:
        """The servers are reachable from now on."""
        self.reachable.append(time.monotonic())

    def excused(self) -> list[tuple[float, float]]:
        """The times in which it may have stopped a partition."""
        rebuild_s = self.entries / REBUILT if KINDS[self.kind].loses_list else 0.0
        first = min([*self.reachable, self.over])
        begun_again = [*self.reachable, self.over]
        return [
            (self.began, first + SETTLED_S + rebuild_s),
            *((at, at + SETTLED_S + rebuild_s) for at in begun_again),
        ]

    @property
    def matters_until(self) -> float:
        """The time after which it excuses no stall."""
        return max(end for _, end in self.excused())


@dataclass(frozen=True, slots=True)
class Judged:
    """A stall, the faults that may have caused it, and the part that no fault excuses."""

    stall: Stall
    kinds: tuple[str, ...]  # in the order in which they began
    excess_s: float
    after: str | None  # the last fault to excuse it before most of the excess

    @property
    def is_too_long(self) -> bool:
        """Whether it is longer than the design allows."""
        return self.excess_s > NOTED_S


def judged(stalls: Sequence[Stall], harms: Sequence[Harm]) -> list[Judged]:
    """Compare stalls with the faults at the time, the longest excess first."""
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
    """The longest stalls at the time of one kind of fault, in seconds."""

    of_all: float = 0.0
    alone: float = 0.0  # with no other fault at the time
    excess: float = 0.0  # where this fault was the last to excuse


def longest(found: Sequence[Judged]) -> Mapping[str, Longest]:
    """The longest stall by kind of fault; "none" for stalls without a fault."""
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
