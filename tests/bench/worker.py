"""The measured process: `python -m tests.bench.worker JOB` prints a JSON line."""

from __future__ import annotations

import asyncio
import cProfile
import logging
import pstats
import signal
import sys
import time

import orjson

from processor import config
from processor.config import Settings
from processor.kafka.lanes.supervisor import Lanes
from processor.kafka.topics.services_topic import ServicesTopic
from processor.servers import settle_memory
from processor.wire.topics import Topics
from processor.worker.shared import Shared
from tests.bench import faust_agent
from tests.bench.installations import PARTITIONS
from tests.bench.jobs import Job, Measured
from tests.bench.programs import READY
from tests.bench.stages import Start, lanes, source_of

_POLL_S = 0.01
_TOP = 25
_PROFILER = cProfile.Profile()


def main() -> None:
    """Do the job of the command line and print the measurements as the last line."""
    logging.basicConfig(level=logging.WARNING)
    job = Job(**orjson.loads(sys.argv[1]))
    measured = asyncio.run(_faust(job) if job.role == "faust" else _lanes(job))
    _PROFILER.disable()
    if job.profile:
        pstats.Stats(_PROFILER).sort_stats("tottime").print_stats(_TOP)
    sys.stdout.flush()
    sys.stdout.buffer.write(orjson.dumps(measured) + b"\n")


def _settings(job: Job) -> Settings:
    return config.load().model_copy(
        update={
            "topic_prefix": job.prefix,
            "partitions": PARTITIONS,
            "instance_id": None,
            "roles": (),  # the lanes are made here
        }
    )


async def _lanes(job: Job) -> Measured:
    shared, start = Shared(_settings(job)), Start()
    shared.services = ServicesTopic(
        shared.settings, Topics.under(job.source_prefix).messaging_services, shared.metrics
    )
    running = lanes(shared, job, start)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.stop)
    following = asyncio.create_task(_follow(shared, job))
    counting = [asyncio.create_task(each.run()) for each in (shared.counts, shared.send_counts)]
    if job.role in ("one_service", "many_services"):  # measured apart from the lanes' start
        began, before = time.monotonic(), memory_mb("VmRSS")
        await shared.services.wait_loaded()
        start.services_s, start.services_rss_mb = (
            time.monotonic() - began,
            memory_mb("VmRSS") - before,
        )
    watching = asyncio.create_task(_watch(running, job, start))
    await running.run()
    measured = await watching if job.records else _measured(start, 0, 0.0, 0.0)
    shared.counts.stop()
    shared.send_counts.stop()
    for task in (following, watching):
        task.cancel()
    await asyncio.gather(following, watching, *counting, return_exceptions=True)
    await shared.close()
    return measured


async def _follow(shared: Shared, job: Job) -> None:
    if job.role != "passthrough":  # which has no configuration
        async with asyncio.TaskGroup() as group:
            group.create_task(shared.services.follow())
            if job.role == "gate":
                group.create_task(shared.accounts.topic.follow())


async def _watch(running: Lanes, job: Job, start: Start) -> Measured:
    """Print when all partitions are taken; stop the lanes when all is read and committed."""
    await start.given.wait()
    if job.role != "passthrough":  # passthrough keeps Python's own settings
        settle_memory()
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    if job.profile:
        _PROFILER.enable()
    while not _done(running, job, start):
        await asyncio.sleep(_POLL_S)
    cpu_ended = time.process_time()
    ended = max(state.progressed_at for state in running.states())
    running.stop()
    return _measured(start, job.records, ended, cpu_ended)


def _done(running: Lanes, job: Job, start: Start) -> bool:
    states, source = running.states(), source_of(job)
    read = sum(
        offset
        for state in states
        for tp, offset in state.next_offsets.items()
        if tp.topic == source
    )
    # A batch counts as read before its commit, and as progress afterwards.
    return (
        bool(job.records)
        and read == job.records
        and all(
            state.progressed_at > start.processed_at.get(state.partition, 0) for state in states
        )
    )


def _measured(start: Start, records: int, ended: float, cpu_ended: float) -> Measured:
    return Measured(
        records=records,
        seconds=ended - start.began,
        cpu_seconds=cpu_ended - start.cpu_began,
        batches=start.batches,
        services_s=start.services_s,
        services_rss_mb=start.services_rss_mb,
        peak_rss_mb=memory_mb("VmHWM"),  # ru_maxrss would be the parent's if larger
    )


def memory_mb(name: str, pid: int | str = "self") -> float:
    """The value of a line in a process's status, in MB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        [line] = [line for line in status if line.startswith(f"{name}:")]
    return int(line.split()[1]) / 1024


async def _faust(job: Job) -> Measured:
    return await faust_agent.run(_settings(job), source_of(job), job.records)


if __name__ == "__main__":
    main()
