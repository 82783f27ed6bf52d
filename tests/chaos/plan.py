"""The plan of faults over time; equal seeds make equal plans."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Track = Literal["workers", "redis", "kafka"]
RedisKind = Literal["one", "sentinel", "cluster"]

TRACKS: tuple[Track, ...] = ("workers", "redis", "kafka")
REDIS_KINDS: tuple[RedisKind, ...] = ("one", "sentinel", "cluster")


@dataclass(frozen=True, slots=True)
class Kind:
    """The kind of a fault, and where it can happen."""

    track: Track
    redis: Sequence[RedisKind] = REDIS_KINDS
    brokers: Sequence[int] = (1, 3)
    is_outage: bool = False  # nobody can work, or one worker cannot and keeps its partitions
    loses_list: bool = False  # what Redis serves is built again
    steps_clock: bool = False
    is_survived: bool = True  # else it is drawn only where it is named


_ONE: Sequence[RedisKind] = ("one",)
_FAILS_OVER: Sequence[RedisKind] = ("sentinel", "cluster")

KINDS: Mapping[str, Kind] = {
    "kill": Kind("workers"),
    "terminate": Kind("workers"),
    "freeze": Kind("workers"),
    "join": Kind("workers"),
    "leave": Kind("workers"),
    "cut from Kafka": Kind("workers"),
    # Cut off from Redis alone, a worker stays a member and keeps its partitions.
    "cut from Redis": Kind("workers", is_outage=True),
    "Kafka never answers a worker": Kind("workers"),
    "Redis never answers a worker": Kind("workers", is_outage=True),
    "clock of a worker stepped": Kind("workers", steps_clock=True),
    "clock of a worker two hours ahead": Kind("workers", steps_clock=True),
    "Redis emptied": Kind("redis", loses_list=True),
    "Redis restarted empty": Kind("redis", is_outage=True, loses_list=True),
    "Redis frozen": Kind("redis", _ONE, is_outage=True),
    "Redis paused": Kind("redis", _ONE, is_outage=True),
    "Redis slow": Kind("redis"),
    "Redis never answers": Kind("redis", is_outage=True),
    "replica promoted, last writes missing": Kind("redis", _ONE, is_outage=True, loses_list=True),
    "Redis restarted from an old snapshot": Kind("redis", _ONE, is_outage=True, loses_list=True),
    "clock of Redis stepped": Kind("redis", steps_clock=True),
    "Redis master killed": Kind("redis", _FAILS_OVER, is_outage=True, loses_list=True),
    "Redis master frozen": Kind("redis", _FAILS_OVER, is_outage=True, loses_list=True),
    "Redis master paused": Kind("redis", _FAILS_OVER, is_outage=True, loses_list=True),
    "Redis replica lost": Kind("redis", _FAILS_OVER),
    "broker killed": Kind("kafka", is_outage=True),
    "broker frozen": Kind("kafka", is_outage=True),
    "broker lost for long": Kind("kafka", brokers=(3,), is_outage=True),
    "unclean election refused": Kind("kafka", brokers=(3,), is_outage=True),
    "Kafka never answers": Kind("kafka", is_outage=True),
    "topic setting drifted": Kind("kafka"),
    "certificate of a worker expired": Kind("kafka"),
    # The brokers' clocks count: once it is right again, an opt-in is older than the STOP before it.
    "clock of a broker two hours ahead": Kind("kafka", steps_clock=True, is_survived=False),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    track: Track
    kind: str
    after_s: float  # since the last one of its track was over
    hold_s: float  # how long it lasts, where it lasts
    chance: float  # 0 to 1: which worker, which server, which way


def kinds_of(*, redis: RedisKind, brokers: int, only: Sequence[str] = ()) -> Mapping[str, Kind]:
    """The kinds that such servers can suffer: those that are named, or all that are survived."""
    return {
        name: kind
        for name, kind in KINDS.items()
        if redis in kind.redis
        and brokers in kind.brokers
        and (name in only if only else kind.is_survived)
    }


def make_plan(
    seed: int,
    *,
    longest_s: float,
    seconds: float | None,
    redis: RedisKind = "one",
    brokers: int = 3,
    only: Sequence[str] = (),
) -> Sequence[Fault]:
    """Faults of all tracks, which run beside each other, each in its order.

    Args:
        seed: of everything random.
        longest_s: that a fault may last, without the session time-out that some outlast.
        seconds: to fill; None: every kind once.
        redis: the servers of the block list.
        brokers: how many there are, 1 or 3.
        only: kinds to draw from; empty: all that such servers can suffer and that are survived.
    """
    chance = random.Random(f"plan {seed}")
    fitting = kinds_of(redis=redis, brokers=brokers, only=only)
    plan: list[Fault] = []
    for track in TRACKS:
        names = [name for name, kind in fitting.items() if kind.track == track]
        plan += _track(chance, track, names, longest_s, seconds)
    return plan


def one_by_one(
    seed: int,
    *,
    longest_s: float,
    redis: RedisKind = "one",
    brokers: int = 3,
    only: Sequence[str] = (),
) -> Iterator[Fault]:
    """Faults without end, every kind before any comes again; else as ``make_plan``."""
    chance = random.Random(f"one by one {seed}")
    while True:
        plan = make_plan(
            chance.getrandbits(32),
            longest_s=longest_s,
            seconds=None,
            redis=redis,
            brokers=brokers,
            only=only,
        )
        yield from chance.sample(plan, len(plan))


def _track(
    chance: random.Random,
    track: Track,
    kinds: Sequence[str],
    longest_s: float,
    seconds: float | None,
) -> list[Fault]:
    plan: list[Fault] = []
    planned_s = 0.0
    while kinds and (not plan or (seconds is not None and planned_s < seconds)):
        # Every kind before any comes again.
        for kind in chance.sample(kinds, len(kinds)):
            after_s, hold_s = (
                chance.uniform(0.2, 0.6) * longest_s,
                chance.uniform(0.2, 1) * longest_s,
            )
            plan.append(Fault(track, kind, round(after_s, 1), round(hold_s, 1), chance.random()))
            planned_s += after_s + hold_s
    return plan
