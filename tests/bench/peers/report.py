"""The figures of both sides as one table, with what is not equal, and the targets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

from tests.bench.jobs import Measured
from tests.bench.latency import Latency
from tests.bench.peers.kafka_streams import PeerRole
from tests.bench.report import Environment

SIDES = ("optout", "Kafka Streams", "Kafka Streams, tuned")
_OURS, _DEFAULTS, _TUNED = SIDES
ROLES: tuple[PeerRole, ...] = ("match", "gate")
_NOT_EQUAL = (
    "optout keeps the list in Redis, which has a process and CPU of its own; a peer keeps it "
    "in its own memory, with a changelog topic",
    "a peer's gate has a copy of the list that follows later: it promises nothing about a STOP "
    "whose confirmation can be read",
    "a peer's match knows default handling only: no services, languages, countries, commands",
    "tuned: commit.interval.ms=10, linger.ms=0; warm: the last quarter of a run",
)
_AIMS: Mapping[PeerRole, tuple[float, float | None]] = {"match": (1.5, 2 / 3), "gate": (1.2, None)}
_LATENCY_AIM = 2 / 3

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one side."""

    measured: Measured
    warm_cpu_seconds: float  # of its last quarter

    @property
    def cpu_us(self) -> float:
        """CPU time a message, in microseconds."""
        return 1e6 * self.measured.cpu_seconds / self.measured.records

    @property
    def warm_cpu_us(self) -> float:
        """The same of the last quarter."""
        return 4e6 * self.warm_cpu_seconds / self.measured.records


@dataclass(slots=True)
class Figures:
    """All figures of one run of both sides."""

    environment: Environment
    blocked: int
    runs: dict[tuple[PeerRole, str], list[Run]] = field(default_factory=dict)  # by role and side
    # By role, messages a second and side.
    latencies: dict[tuple[PeerRole, int, str], list[Latency]] = field(default_factory=dict)


def text(figures: Figures) -> str:
    """The tables for people."""
    return "\n".join(_lines(figures))


def _lines(figures: Figures) -> Iterator[str]:
    yield f"command   {' '.join(['python -m tests.bench.peers', *sys.argv[1:]])}"
    yield from figures.environment.lines()
    yield f"gate      {figures.blocked:,} blocked recipients"
    yield ""
    yield from _throughput(figures)
    if figures.latencies:
        yield ""
        yield from _latency(figures)
    yield ""
    yield "not equal"
    yield from (f"  - {one}" for one in _NOT_EQUAL)
    yield ""
    for what, value, met in targets(figures):
        yield f"{'met' if met else 'NOT MET':<8} {what}: {value}"


def _throughput(figures: Figures) -> Iterator[str]:
    yield (
        f"{'lane':<7}{'side':<22}{'a second':>10}{'min .. max':>20}{'CPU us':>8}"
        f"{'warm':>6}{'RSS':>10}"
    )
    for (role, side), runs in figures.runs.items():
        speeds = [run.measured.per_second for run in runs]
        yield (
            f"{role:<7}{side:<22}{median(speeds):>10,.0f}"
            f"{f'{min(speeds):,.0f} .. {max(speeds):,.0f}':>20}"
            f"{median(run.cpu_us for run in runs):>8.1f}"
            f"{median(run.warm_cpu_us for run in runs):>6.1f}"
            f"{max(run.measured.peak_rss_mb for run in runs):>7,.0f} MB"
        )


def _latency(figures: Figures) -> Iterator[str]:
    yield "hand-over to visible reply (match) or verdict (gate), ms"
    yield (
        f"{'lane':<7}{'a second':>9}  {'side':<22}{'answers':>9}{'p50':>5}{'min .. max':>12}"
        f"{'p99':>6}{'min .. max':>14}{'worst':>7}"
    )
    for (role, rate, side), runs in figures.latencies.items():
        p50s, p99s = [one.p50_ms for one in runs], [one.p99_ms for one in runs]
        yield (
            f"{role:<7}{rate:>9,}  {side:<22}{sum(one.replies for one in runs):>9,}"
            f"{median(p50s):>5.0f}{f'{min(p50s):.0f} .. {max(p50s):.0f}':>12}"
            f"{median(p99s):>6.0f}{f'{min(p99s):.0f} .. {max(p99s):.0f}':>14}"
            f"{max(one.worst_ms for one in runs):>7.0f}"
        )


def targets(figures: Figures) -> Iterator[tuple[str, str, bool]]:
    """Each target and aim: what, the figure, and whether it is met."""
    for role in ROLES:
        ours, theirs = figures.runs.get((role, _OURS)), figures.runs.get((role, _DEFAULTS))
        if not ours or not theirs:
            continue
        faster, thriftier = _AIMS[role]
        speed = _ratio(ours, theirs, lambda run: run.measured.per_second)
        cpu = median(run.cpu_us for run in ours) / median(run.warm_cpu_us for run in theirs)
        yield f"{role}: messages a second, of the peer's, at least 1", f"{speed:.2f}", speed >= 1
        yield f"{role}: aim {faster:.1f}", f"{speed:.2f}", speed >= faster
        yield f"{role}: CPU a message, of the peer's warm, at most 1", f"{cpu:.2f}", cpu <= 1
        if thriftier:
            yield f"{role}: aim {thriftier:.2f}", f"{cpu:.2f}", cpu <= thriftier
    for (role, rate, side), answers in figures.latencies.items():
        peer = figures.latencies.get((role, rate, _TUNED))
        if side == _OURS and peer:
            p50 = _ratio(answers, peer, lambda one: one.p50_ms)
            p99 = _ratio(answers, peer, lambda one: one.p99_ms)
            said = f"p50 {p50:.2f}, p99 {p99:.2f}"
            what = f"{role} at {rate:,}: p50 and p99, of the tuned peer's"
            yield f"{what}, at most 1", said, max(p50, p99) <= 1
            yield f"{what}, aim {_LATENCY_AIM:.2f}", said, max(p50, p99) <= _LATENCY_AIM


def _ratio(ours: list[T], theirs: list[T], figure: Callable[[T], float]) -> float:
    return median(map(figure, ours)) / median(map(figure, theirs))
