"""Whether the lanes of a role work, from looks at their positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

STALLED_S = 30.0  # without progress while records wait
BEHIND_S = 60.0  # of work at the present pace
_MARKERS = 2  # ends of transactions behind the last record; no lane commits them

State = Literal["idle", "works", "behind", "stalled"]
Place = tuple[str, int]
"""A topic and a partition."""

WORST: tuple[State, ...] = ("stalled", "behind", "works", "idle")


@dataclass(frozen=True, slots=True)
class Position:
    """How far a lane has come in a topic's partition."""

    end: int  # offset behind the last record
    done: int  # the first that is not done


@dataclass(frozen=True, slots=True)
class Track:
    """A lane's position now, and its progress until then."""

    at_s: float
    position: Position
    moved_s: float  # the last time it came further, or had nothing to do
    pace: float = 0.0  # offsets a second since the look before

    @property
    def waiting(self) -> int:
        """How many offsets are not done."""
        return max(0, self.position.end - self.position.done)

    @property
    def state(self) -> State:
        """How the lane is."""
        if self.waiting <= _MARKERS:
            return "idle"
        if self.at_s - self.moved_s >= STALLED_S:
            return "stalled"
        return "behind" if self.pace and self.waiting > BEHIND_S * self.pace else "works"


@dataclass(frozen=True, slots=True)
class Lane:
    """A partition's lane of a role, over all topics that it reads."""

    partition: int
    waiting: int
    state: State
    stalled_s: float  # since it came further, if it is stalled; else 0


def tracked(
    before: Mapping[Place, Track], now: Mapping[Place, Position], at_s: float
) -> dict[Place, Track]:
    """Compare positions with those of the last look.

    Args:
        before: by topic and partition; empty at first.
        now: by topic and partition.
        at_s: monotonic time of this look.
    """
    return {place: _track(before.get(place), position, at_s) for place, position in now.items()}


def _track(before: Track | None, position: Position, at_s: float) -> Track:
    if before is None:
        return Track(at_s, position, at_s)
    moved = position.done - before.position.done
    pace = max(0, moved) / max(0.001, at_s - before.at_s)
    is_still = moved == 0 and position.end - position.done > _MARKERS
    # A lane that had nothing to do is stalled only from the look that found something.
    was_idle = before.state == "idle"
    return Track(at_s, position, before.moved_s if is_still and not was_idle else at_s, pace)


def lanes_of(tracks: Mapping[Place, Track]) -> list[Lane]:
    """The lanes by partition, each as its worst topic is."""
    lanes = []
    for partition in sorted({partition for _, partition in tracks}):
        mine = [track for (_, one), track in tracks.items() if one == partition]
        state = min((track.state for track in mine), key=WORST.index)
        still = [track.at_s - track.moved_s for track in mine if track.state == "stalled"]
        waiting = sum(track.waiting for track in mine)
        lanes.append(Lane(partition, waiting, state, max(still, default=0.0)))
    return lanes
