"""The figures of a run as a table, with the environment of the measurement, and the goals."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from processor.config import Settings
from processor.stores.redis_client import RedisClient
from tests.bench import faust_agent
from tests.bench.block_list import Memory
from tests.bench.installations import PARTITIONS
from tests.bench.jobs import Measured, Role
from tests.bench.latency import KEYWORD_SHARE, Latency

_PACKAGES = ("aiokafka", "faust-streaming", "redis", "pydantic", "orjson")


@dataclass(frozen=True, slots=True)
class Goal:
    """The goal of one lane, as a share of another lane's speed on the same machine."""

    role: Role
    of: Role
    at_least: float


GOALS = (
    Goal("match", "passthrough", 0.60),
    Goal("gate", "passthrough", 0.60),
    Goal("match", "faust", 15),
    Goal("many_services", "one_service", 0.85),
)
BYTES_AT_MOST = 200
HANDLED_BYTES_AT_MOST = 20
LOADED_AT_MOST_S = 10


@dataclass(frozen=True, slots=True)
class Environment:
    """Where and when a benchmark runs."""

    versions: Mapping[str, str]
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    load_before: float = field(default_factory=lambda: os.getloadavg()[0])

    def lines(self) -> Iterator[str]:
        """It in words."""
        made = machine()
        yield f"machine   {made['cpu']}, {made['cores']} cores, {made['memory_gb']:.0f} GB"
        yield f"versions  {', '.join(f'{name} {number}' for name, number in self.versions.items())}"
        yield f"date      {self.began:%Y-%m-%d %H:%M} UTC, load before it {self.load_before:.1f}"
        yield f"setting   one broker beside it, {PARTITIONS} partitions, one process a lane"


@dataclass(slots=True)
class Figures:
    """All figures of one run."""

    environment: Environment
    blocked: int
    messages: int
    services: int
    runs: dict[Role, list[Measured]] = field(default_factory=dict)  # by repeat
    theirs: dict[Role, list[Measured]] = field(default_factory=dict)  # of another version
    memory: Memory | None = None
    latencies: list[Latency] = field(default_factory=list)

    def as_json(self) -> bytes:
        """All figures, for programs."""
        whole = {
            "command": _command(),
            "machine": machine(),
            **asdict(self),
            "goals": [
                {"what": what, "value": value, "met": met} for what, value, met in _goals(self)
            ],
        }
        return orjson.dumps(whole, option=orjson.OPT_INDENT_2)


async def versions(settings: Settings) -> dict[str, str]:
    """The versions of everything that affects the figures."""
    client = RedisClient(settings.redis_url, timeout_s=settings.redis_timeout_s)
    try:
        server = await client.redis.info("server")
    finally:
        await client.close()
    found = {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}
    found["faust-streaming"] += " (Cython)" if faust_agent.fast_build() else " (no Cython)"
    name = server.get("server_name", "redis")
    return found | {f"{name} server": str(server.get(f"{name}_version", server["redis_version"]))}


def text(figures: Figures) -> str:
    """The table for people."""
    return "\n".join(_lines(figures))


def _lines(figures: Figures) -> Iterator[str]:
    yield f"command   {_command()}"
    yield from figures.environment.lines()
    yield ""
    yield (
        f"{'lane':<14}{'messages':>10}{'a second':>11}{'min .. max':>20}{'CPU':>7}"
        f"{'us each':>9}{'RSS':>9}"
    )
    for role, runs in figures.runs.items():
        speeds = [run.per_second for run in runs]
        cpu = median(run.cpu_seconds / run.seconds for run in runs)
        cpu_us = median(map(_cpu_us, runs))
        yield (
            f"{role:<14}{runs[0].records:>10,}{median(speeds):>11,.0f}"
            f"{f'{min(speeds):,.0f} .. {max(speeds):,.0f}':>20}{cpu:>7.0%}{cpu_us:>9.1f}"
            f"{max(run.peak_rss_mb for run in runs):>6.0f} MB"
        )
    for role, others in figures.theirs.items():
        pairs = zip(figures.runs[role], others, strict=True)
        ratios = [_cpu_us(one) / _cpu_us(other) for one, other in pairs]
        yield (
            f"{role}: CPU a message, of the other version's: {median(ratios):.3f} "
            f"({min(ratios):.3f} .. {max(ratios):.3f}) in {len(ratios)} pairs"
        )
    if many := figures.runs.get("many_services"):
        yield ""
        yield (
            f"{figures.services:,} services, each of 41 languages and 50 countries: loaded in "
            f"{median(run.services_s for run in many):.1f} s, "
            f"{median(run.services_rss_mb for run in many) * 2**10 / figures.services:.1f} KiB each"
        )
    if figures.memory:
        memory = figures.memory
        yield ""
        yield (
            f"a blocked recipient of {figures.blocked:,} in Redis: {memory.used:.0f} bytes by "
            f"used_memory, {memory.hashes:.0f} by MEMORY USAGE; a handled id {memory.handled:.1f}"
        )
    if figures.latencies:
        yield ""
        yield f"hand-over to visible reply, {KEYWORD_SHARE:.0%} keywords, ms"
        yield f"{'messages a second':<20}{'replies':>8}{'p50':>8}{'p99':>8}{'worst':>8}"
        for one in figures.latencies:
            yield (
                f"{f'{one.rate:,} (was {one.sent_rate:,})':<20}{one.replies:>8,}"
                f"{one.p50_ms:>8.0f}{one.p99_ms:>8.0f}{one.worst_ms:>8.0f}"
            )
    yield ""
    for what, value, met in _goals(figures):
        yield f"{'met' if met else 'NOT MET':<8} {what}: {value}"


def _cpu_us(run: Measured) -> float:
    return 1e6 * run.cpu_seconds / run.records


def _goals(figures: Figures) -> Iterator[tuple[str, str, bool]]:
    for goal in GOALS:
        ours, theirs = figures.runs.get(goal.role), figures.runs.get(goal.of)
        if ours and theirs:
            ratio, low, high = _ratio(ours, theirs)
            yield (
                f"{goal.role} / {goal.of} at least {goal.at_least:g}",
                f"{ratio:.2f} ({low:.2f} .. {high:.2f})",
                ratio >= goal.at_least,
            )
    if many := figures.runs.get("many_services"):
        loaded = max(run.services_s for run in many)
        yield (
            f"seconds until {figures.services:,} services are loaded at most {LOADED_AT_MOST_S}",
            f"{loaded:.1f}",
            loaded <= LOADED_AT_MOST_S,
        )
    if figures.memory:
        size = figures.memory.used
        yield (
            f"bytes a blocked recipient at most {BYTES_AT_MOST}",
            f"{size:.0f}",
            size <= BYTES_AT_MOST,
        )
        handled = figures.memory.handled
        yield (
            f"bytes a handled id at most {HANDLED_BYTES_AT_MOST}",
            f"{handled:.1f}",
            handled <= HANDLED_BYTES_AT_MOST,
        )


def _ratio(ours: Sequence[Measured], theirs: Sequence[Measured]) -> tuple[float, float, float]:
    """The medians' ratio; then the lowest and the highest ratio of neighbouring repeats."""
    pairs = [one.per_second / other.per_second for one, other in zip(ours, theirs, strict=True)]
    whole = median(run.per_second for run in ours) / median(run.per_second for run in theirs)
    return whole, min(pairs), max(pairs)


def _command() -> str:
    return " ".join(["python -m tests.bench", *sys.argv[1:]])


def machine() -> dict[str, Any]:
    """The processor, its cores, and the memory in GB."""
    names = [
        line.partition(":")[2].strip()
        for line in _read("/proc/cpuinfo").splitlines()
        if line.startswith("model name")
    ]
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": pages * size / 2**30,
    }


def _read(name: str) -> str:
    try:
        return Path(name).read_text()
    except OSError:
        return ""
