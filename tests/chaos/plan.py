"""What goes wrong when: the same seed makes the same plan."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Track = Literal["workers", "servers"]

WORKER_FAULTS = ("kill", "terminate", "freeze", "join", "leave", "cut from Kafka", "cut from Redis")
SERVER_FAULTS = (
    "Redis emptied",
    "Redis restarted empty",
    "Redis frozen",
    "Redis paused",
    "replica promoted, last writes missing",
    "Redis restarted from an old snapshot",
    "Redis slow",
    "broker killed",
    "clock of a worker stepped",
    "clock of Redis stepped",
)
# Nothing can be judged or answered meanwhile, whatever a worker does; that is cut off from Redis
# alone stays a member and keeps its partitions.
OUTAGES = frozenset(
    {
        "Redis restarted empty",
        "Redis frozen",
        "Redis paused",
        "replica promoted, last writes missing",
        "Redis restarted from an old snapshot",
        "broker killed",
        "cut from Redis",
    }
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    track: Track
    kind: str
    after_s: float  # since the last one of its track was over
    hold_s: float  # how long it lasts, where it lasts
    chance: float  # 0 to 1: which worker, which way


def make_plan(seed: int, *, longest_s: float, seconds: float | None) -> Sequence[Fault]:
    """Faults of both tracks, which run beside each other, each in its order.

    Args:
        seed: of everything random.
        longest_s: that a fault of the servers may last; frozen workers outlast their session.
        seconds: to fill; None: every kind once.
    """
    chance = random.Random(f"plan {seed}")
    return [
        *_track(chance, "workers", WORKER_FAULTS, 8.0, seconds),
        *_track(chance, "servers", SERVER_FAULTS, longest_s, seconds),
    ]


def _track(
    chance: random.Random,
    track: Track,
    kinds: Sequence[str],
    longest_s: float,
    seconds: float | None,
) -> list[Fault]:
    plan: list[Fault] = []
    planned_s = 0.0
    while not plan or (seconds is not None and planned_s < seconds):
        # Every kind before any comes again.
        for kind in chance.sample(kinds, len(kinds)):
            after_s, hold_s = (
                chance.uniform(0.2, 0.6) * longest_s,
                chance.uniform(0.2, 1) * longest_s,
            )
            plan.append(Fault(track, kind, round(after_s, 1), round(hold_s, 1), chance.random()))
            planned_s += after_s + hold_s
    return plan
