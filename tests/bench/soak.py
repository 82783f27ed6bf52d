"""The soak: workers at the highest rate this machine holds, then a back-log; `make soak`.

The load waits whenever the lanes fall behind, so the rate is theirs. Watched are memory of
each worker, partitions that change hands, records not committed.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
import uuid
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from processor import config
from processor.config import Settings
from processor.kafka.client import BulkWriter, bulk_writer, group_lag
from processor.kafka.topics import topic_admin
from processor.wire.topics import Topics
from tests.bench.load import chunks, traffic
from tests.bench.worker import memory_mb

_BEHIND = 200_000  # records not committed, at which the load waits
_LOOK_S = 1.0
_SAID_S = 10.0
_SETTLE_S = 60.0  # until memory is compared: buffers and caches have filled
_DRAIN_S = 1_800.0


@dataclass(slots=True)
class _Worker:
    process: Process
    log: Path

    @property
    def takes(self) -> int:
        """How often it took a partition."""
        return len(re.findall("lane.taken", self.log.read_text()))

    @property
    def rss_mb(self) -> float:
        return memory_mb("VmRSS", self.process.pid)


@dataclass(slots=True)
class _Course:
    """The readings: seconds, memory of each worker in MB, records of lag."""

    began: float = field(default_factory=time.monotonic)
    written: int = 0
    behind: int = 0
    looks: list[tuple[float, Sequence[float]]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


@click.command()
@click.option("--seconds", type=click.FloatRange(10), default=600.0, show_default=True)
@click.option("--workers", "count", type=click.IntRange(1), default=2, show_default=True)
@click.option(
    "--backlog",
    type=click.IntRange(0),
    default=5_000_000,
    show_default=True,
    help="Inbound messages that lie there when the workers start; 0: leave that part out.",
)
def main(seconds: float, count: int, backlog: int) -> None:
    """Load workers for a while, then have them drain a back-log, and print what was seen.

    Ends with 1 where a worker died or records were left behind.
    """
    sys.exit(asyncio.run(_run(seconds, count, backlog)))


async def _run(seconds: float, count: int, backlog: int) -> int:
    settings = config.load().model_copy(update={"topic_prefix": f"soak-{uuid.uuid4().hex[:8]}."})
    await topic_admin.create(settings)
    with TemporaryDirectory() as directory:
        async with _workers(settings, count, Path(directory)) as workers:
            whole = await _load(settings, workers, seconds)
        if backlog:
            await _write_backlog(settings, backlog)
            course = _Course()
            async with _workers(settings, count, Path(directory)) as workers:
                whole = await _drain(settings, workers, course, backlog) and whole
    return 0 if whole else 1


@asynccontextmanager
async def _workers(
    settings: Settings, count: int, directory: Path
) -> AsyncIterator[Sequence[_Worker]]:
    environment = os.environ | {
        "OPTOUT_TOPIC_PREFIX": settings.topic_prefix,
        "OPTOUT_ROLES": "match,gate",
    }
    async with AsyncExitStack() as stack:
        workers = []
        for number in range(count):
            log = directory / f"{number}-{time.monotonic_ns()}.log"
            file = stack.enter_context(log.open("wb"))
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "processor", "worker"),
                env=environment,
                stdout=DEVNULL,
                stderr=file,
            )
            stack.push_async_callback(_end, process)
            workers.append(_Worker(process, log))
        while sum(worker.takes for worker in workers) < 2 * settings.partitions:
            _alive(workers)
            await asyncio.sleep(0.2)
        yield workers


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()


def _alive(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        if worker.process.returncode is not None:
            said = worker.log.read_text()[-2000:]
            raise click.ClickException(f"a worker ended with {worker.process.returncode}:\n{said}")


async def _load(settings: Settings, workers: Sequence[_Worker], seconds: float) -> bool:
    while await _behind(settings):  # they settle who has what
        await asyncio.sleep(_LOOK_S)
    await asyncio.sleep(2 * settings.session_timeout_s)
    taken = sum(worker.takes for worker in workers)
    course = _Course()
    watching = asyncio.create_task(_watch(settings, workers, course))
    topics = Topics.under(settings.topic_prefix)
    made = traffic(keyword_share=0.02)
    async with (
        bulk_writer(settings, topics.inbound_messages) as inbound,
        bulk_writer(settings, topics.outbound_messages) as outbound,
    ):
        while course.seconds < seconds:
            if course.behind > _BEHIND:
                await asyncio.sleep(0.05)
                continue
            at_ms = time.time_ns() // 1_000_000
            await inbound.send(made.inbound(5_000, at_ms))
            await outbound.send(made.sends(5_000, at_ms))
            course.written += 10_000
            await asyncio.sleep(0)
    rate = course.written / course.seconds
    whole = await _drained(settings, workers)
    watching.cancel()
    moved = sum(worker.takes for worker in workers) - taken
    print(f"load: {course.written:,} messages and sends in {course.seconds:.0f} s, {rate:,.0f} a s")
    print(f"partitions that changed hands: {moved}")
    for number in range(len(workers)):
        settled = [rss[number] for at, rss in course.looks if at > min(_SETTLE_S, seconds / 2)]
        first, last = settled[0], settled[-1]
        print(
            f"worker {number}: {first:.0f} MB after a minute, {last:.0f} MB at the end, "
            f"{max(settled):.0f} MB at most, ratio {last / first:.2f}"
        )
    return whole


async def _watch(settings: Settings, workers: Sequence[_Worker], course: _Course) -> None:
    said = 0.0
    while True:
        _alive(workers)
        course.behind = await _behind(settings)
        course.looks.append((course.seconds, [worker.rss_mb for worker in workers]))
        if course.seconds - said > _SAID_S:
            said = course.seconds
            memory = " ".join(f"{mb:.0f} MB" for mb in course.looks[-1][1])
            print(f"{said:6.0f} s  {course.behind:9,} behind  {memory}", flush=True)
        await asyncio.sleep(_LOOK_S)


async def _behind(settings: Settings) -> int:
    topics = Topics.under(settings.topic_prefix)
    return await group_lag(
        settings, f"{settings.topic_prefix}match", [topics.inbound_messages]
    ) + await group_lag(settings, f"{settings.topic_prefix}gate", [topics.outbound_messages])


async def _drained(settings: Settings, workers: Sequence[_Worker]) -> bool:
    began = time.monotonic()
    while behind := await _behind(settings):
        _alive(workers)
        if time.monotonic() - began > _DRAIN_S:
            print(f"{behind:,} records were left behind")
            return False
        await asyncio.sleep(_LOOK_S)
    return True


async def _write_backlog(settings: Settings, backlog: int) -> None:
    made = traffic(keyword_share=0.02)
    topic = Topics.under(settings.topic_prefix).inbound_messages
    out: BulkWriter
    async with bulk_writer(settings, topic) as out:
        for size in chunks(backlog):
            await out.send(made.inbound(size, time.time_ns() // 1_000_000))
    print(f"back-log: {backlog:,} inbound messages written", flush=True)


async def _drain(
    settings: Settings, workers: Sequence[_Worker], course: _Course, backlog: int
) -> bool:
    watching = asyncio.create_task(_watch(settings, workers, course))
    whole = await _drained(settings, workers)
    watching.cancel()
    rate = backlog / course.seconds
    peaks = [max(rss) for rss in zip(*(rss for _, rss in course.looks), strict=True)]
    memory = ", ".join(f"{peak:.0f} MB" for peak in peaks)
    print(
        f"back-log drained in {course.seconds:.0f} s with the workers' start, {rate:,.0f} a s; "
        f"at most {memory}"
    )
    return whole


if __name__ == "__main__":
    main()
