"""Measures the resources of a load: processes, partitions, blocked numbers; `make capacity`.

Each case has real workers that have taken all partitions before the load, written in a transaction
meanwhile, becomes visible at once. It starts its own servers, to measure the bytes and CPU of the
broker.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
import uuid
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import click
import orjson
from aiokafka import AIOKafkaProducer

from deploy.local import stack
from processor import config
from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.kafka.client import BulkWriter
from processor.kafka.topics import topic_admin
from processor.wire.topics import Topics
from tests.bench import block_list, report
from tests.bench.load import KEYWORD_SHARE, chunks, traffic
from tests.bench.worker import memory_mb
from tests.contract.redis_topologies import cluster

WORKER = (sys.executable, "-m", "processor", "worker")
_START_S = 180.0
_DRAIN_S = 600.0
_LOOK_S = 0.25
_MEASURED = (0.1, 0.9)  # of the load: what lies between is what is timed
_TICKS = os.sysconf("SC_CLK_TCK")

Role = Literal["match", "gate"]


@dataclass(frozen=True, slots=True)
class Case:
    """The parameters of a measurement."""

    processes: int = 1
    partitions: int = 12
    blocked: int = 0
    in_cluster: bool = False
    roles: tuple[Role, ...] = ("match", "gate")


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of a role in a case."""

    role: Role
    case: Case
    per_second: float
    worker_us: float  # CPU of all its processes, each message
    broker_us: float
    redis_us: float | None
    read_bytes: float  # of the broker's log, each message
    written_bytes: float  # by the lanes, each message read
    rss_mb: float  # of the greatest process
    redis_bytes: float | None  # each blocked number
    load: float  # of the machine in the minute before its end


@dataclass(frozen=True, slots=True)
class _Servers:
    settings: Settings
    data: Path
    broker: int  # pids
    redis: int | None


@click.command()
@click.option("--messages", type=click.IntRange(10_000), default=500_000, show_default=True)
@click.option(
    "--blocked",
    type=click.IntRange(1_000, 10_000_000),
    multiple=True,
    default=(1_000_000, 10_000_000),
    show_default=True,
)
@click.option("--quick", is_flag=True, help="Few messages and numbers, to see that it works.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write figures here.")
def main(messages: int, blocked: tuple[int, ...], quick: bool, json_file: Path | None) -> None:
    """Measure the figures of deploy/capacity.md."""
    if quick:
        messages, blocked = 50_000, (20_000, 50_000)
    cases = [
        *(Case(processes=count) for count in (1, 2, 4)),
        *(Case(partitions=count) for count in (1, 48)),
        Case(in_cluster=True),
        *(Case(blocked=count, roles=("gate",)) for count in blocked),
    ]
    with TemporaryDirectory() as directory, ExitStack() as servers:
        home = Path(directory)
        broker = servers.enter_context(stack.kafka(home))
        redis = servers.enter_context(stack.valkey(home))
        settings = config.load(
            kafka_bootstrap=broker.address, redis_url=f"redis://{redis.address}/0"
        )
        given = _Servers(settings, home / "kafka", broker.process.pid, redis.process.pid)
        figures = asyncio.run(_run(given, cases, messages, home))
    print("\n".join(_table(figures)))
    if json_file:
        json_file.write_bytes(orjson.dumps([asdict(one) for one in figures]))


async def _run(
    given: _Servers, cases: Sequence[Case], messages: int, home: Path
) -> Sequence[Measured]:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it asks again by itself
    print(f"load before it {os.getloadavg()[0]:.1f}, {await report.versions(given.settings)}")
    found: list[Measured] = []
    for case in cases:
        async with AsyncExitStack() as running:
            servers = given
            if case.in_cluster:
                url = await running.enter_async_context(cluster(home))
                mine = given.settings.model_copy(update={"redis_url": url})
                servers = replace(given, settings=mine, redis=None)
            found += await _case(servers, case, messages, home)
    return found


async def _case(servers: _Servers, case: Case, messages: int, home: Path) -> Sequence[Measured]:
    settings = servers.settings.model_copy(
        update={"topic_prefix": f"capacity-{uuid.uuid4().hex[:8]}.", "partitions": case.partitions}
    )
    await topic_admin.create(settings)
    redis_bytes = (await block_list.fill(settings, case.blocked)).used if case.blocked else None
    return [
        await _measure(replace(servers, settings=settings), case, role, messages, home, redis_bytes)
        for role in case.roles
    ]


async def _measure(
    servers: _Servers,
    case: Case,
    role: Role,
    messages: int,
    home: Path,
    redis_bytes: float | None,
) -> Measured:
    settings = servers.settings
    source = _source(settings, role)
    others = _bytes(servers.data, settings.topic_prefix) - _bytes(servers.data, source)
    async with (
        _hidden(settings, role, messages, case.blocked) as show,
        _workers(settings, role, case.processes, home) as pids,
    ):
        await show()
        seconds, count, spent = await _timed(servers, role, pids, messages)
        rss_mb = max(memory_mb("VmHWM", pid) for pid in pids)
    read = _bytes(servers.data, source)
    written = _bytes(servers.data, settings.topic_prefix) - read - others
    measured = Measured(
        role=role,
        case=case,
        per_second=count / seconds,
        worker_us=1e6 * spent["workers"] / count,
        broker_us=1e6 * spent["broker"] / count,
        redis_us=1e6 * spent["redis"] / count if servers.redis else None,
        read_bytes=read / messages,
        written_bytes=written / messages,
        rss_mb=rss_mb,
        redis_bytes=redis_bytes,
        load=os.getloadavg()[0],
    )
    print(f"{measured}", file=sys.stderr, flush=True)
    return measured


def _source(settings: Settings, role: Role) -> str:
    topics = Topics.under(settings.topic_prefix)
    return topics.inbound_messages if role == "match" else topics.outbound_messages


@asynccontextmanager
async def _hidden(
    settings: Settings, role: Role, messages: int, blocked: int
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """The load, written and not visible before the function that this gives is awaited."""
    recipients = block_list.recipients_of(blocked) if blocked else 1_000_000
    made = traffic(keyword_share=KEYWORD_SHARE if role == "match" else 0, recipients=recipients)
    make = made.inbound if role == "match" else made.sends
    producer = AIOKafkaProducer(
        **settings.kafka(),
        transactional_id=f"{settings.topic_prefix}load-{role}",
        transaction_timeout_ms=900_000,
        linger_ms=0,
        max_batch_size=1 << 18,
        max_request_size=1 << 22,
    )
    await producer.start()
    try:
        await producer.begin_transaction()
        out = BulkWriter(producer, _source(settings, role), settings.partitions)
        for size in chunks(messages):
            await out.send(make(size, time.time_ns() // 1_000_000))
        await out.flush()
        yield producer.commit_transaction
    finally:
        await producer.stop()


@asynccontextmanager
async def _workers(
    settings: Settings, role: Role, count: int, home: Path
) -> AsyncIterator[Sequence[int]]:
    """The pids of workers of one role, once they have taken every partition."""
    environment = os.environ | {
        "OPTOUT_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "OPTOUT_REDIS_URL": settings.redis_url,
        "OPTOUT_TOPIC_PREFIX": settings.topic_prefix,
        "OPTOUT_PARTITIONS": str(settings.partitions),
        "OPTOUT_ROLES": role,
    }
    async with AsyncExitStack() as running:
        logs = [home / f"{uuid.uuid4().hex}.log" for _ in range(count)]
        workers: list[Process] = []
        for log in logs:
            process = await asyncio.create_subprocess_exec(
                *stack.tied_to_this_process("KILL", WORKER),
                env=environment,
                stdout=DEVNULL,
                stderr=running.enter_context(log.open("wb")),
            )
            running.push_async_callback(_end, process)
            workers.append(process)
        deadline = time.monotonic() + _START_S
        group = f"{settings.topic_prefix}{role}"
        while not await _joined(settings, group, logs):
            if time.monotonic() > deadline or any(one.returncode is not None for one in workers):
                raise click.ClickException(f"{role}: no workers; {logs[0].read_text()[-2000:]}")
            await asyncio.sleep(_LOOK_S)
        yield [worker.pid for worker in workers]


async def _joined(settings: Settings, group: str, logs: Sequence[Path]) -> bool:
    """Whether all are members, and each has taken its share of the partitions."""
    try:
        members = await topic_admin.members(settings, [group])
    except BrokerUnavailable:  # it has no groups yet
        return False
    share = settings.partitions // len(logs)
    taken = [log.read_text().count("lane.taken") for log in logs]
    return members[group] == len(logs) and all(count >= share for count in taken)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()


async def _timed(
    servers: _Servers, role: Role, pids: Sequence[int], messages: int
) -> tuple[float, int, dict[str, float]]:
    """Seconds, messages and CPU seconds of the middle part of the load."""
    settings = servers.settings
    group, source = f"{settings.topic_prefix}{role}", _source(settings, role)
    first: tuple[float, int, dict[str, float]] | None = None
    deadline = time.monotonic() + _DRAIN_S
    while True:
        offsets = (await topic_admin.committed(settings, [group])).get(group, {})
        count = sum(offset for tp, offset in offsets.items() if tp.topic == source)
        now = time.monotonic()
        spent = {
            "workers": sum(map(_cpu_s, pids)),
            "broker": _cpu_s(servers.broker),
            "redis": _cpu_s(servers.redis) if servers.redis else 0.0,
        }
        if first is None and count >= _MEASURED[0] * messages:
            first = now, count, spent
        elif first is not None and count >= _MEASURED[1] * messages:
            began, before, had = first
            return now - began, count - before, {name: spent[name] - had[name] for name in spent}
        if now > deadline:
            raise click.ClickException(f"{role}: {count:,} of {messages:,} after {_DRAIN_S:.0f} s")
        await asyncio.sleep(_LOOK_S)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _bytes(data: Path, topics: str) -> int:
    """What the logs of topics hold whose names begin so."""
    return sum(
        log.stat().st_size
        for place in data.iterdir()
        if place.name.startswith(topics)
        for log in place.glob("*.log")
    )


def _table(figures: Sequence[Measured]) -> Iterator[str]:
    yield (
        "| role | processes | partitions | blocked | Redis | a second | worker us | broker us "
        "| Redis us | bytes read | bytes written | RSS MB | Redis bytes a number | load |"
    )
    yield "|" + "---|" * 14
    for one in figures:
        case = one.case
        cells = [
            one.role,
            case.processes,
            case.partitions,
            f"{case.blocked:,}",
            "Cluster" if case.in_cluster else "one",
            f"{one.per_second:,.0f}",
            f"{one.worker_us:.1f}",
            f"{one.broker_us:.1f}",
            "" if one.redis_us is None else f"{one.redis_us:.2f}",
            f"{one.read_bytes:.0f}",
            f"{one.written_bytes:.0f}",
            f"{one.rss_mb:.0f}",
            "" if one.redis_bytes is None else f"{one.redis_bytes:.0f}",
            f"{one.load:.0f}",
        ]
        yield f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
