"""The cost to other accounts of an account that saves in a loop.

    .venv/bin/python deploy/local/stack.py -- .venv/bin/python -m tests.bench.saves

Another account's saves, verdicts and replies are timed, first without and then with the loop. The
API, a match worker and a gate worker are separate processes. Services have 41 languages and 50
countries. Before that, one change of a directory is timed, by the number of services.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

import aiohttp
import click
import orjson
from pydantic import SecretStr

from processor import config
from processor.config import Settings
from processor.configuration.accounts import new_account
from processor.configuration.edits import edit_of_account
from processor.core.services import Directory
from processor.errors import ConfigError, RetryableError
from processor.kafka.reading import reader
from processor.kafka.topics import topic_admin
from processor.kafka.topics.configuration_writer import configuration
from processor.kafka.writing import BulkWriter, bulk_writer
from processor.wire.credentials import new_token
from processor.wire.services import read_service
from processor.wire.topics import Topics
from tests.bench import report
from tests.bench.api import SEALING_KEY, answered, cpu_seconds, is_ready, made
from tests.bench.load import KEYWORD_SHARE, traffic
from tests.bench.services import many
from tests.builders import ACCOUNT, OTHER_ACCOUNT

_RATE = 200  # inbound messages and as many sends a second
_TICK_S = 0.01
_BETWEEN_SAVES_S = 0.1
_WARM_UP_S = 15.0
_READY_S = 120.0
_LAST_S = 10.0
_CHANGES = 50


@dataclass(slots=True)
class Phase:
    """The measurements of one phase."""

    name: str
    saves: list[float] = field(default_factory=list)  # seconds
    verdicts: list[float] = field(default_factory=list)
    replies: list[float] = field(default_factory=list)
    saves_of_loop: int = 0
    cpu_us: dict[str, float] = field(default_factory=dict)  # of a worker, for each message


@click.command()
@click.option("--services", type=click.IntRange(1), default=1_000, show_default=True)
@click.option("--connections", type=click.IntRange(1), default=20, show_default=True)
@click.option("--seconds", type=click.FloatRange(5), default=30.0, show_default=True)
def main(services: int, connections: int, seconds: float) -> None:
    """Measure the cost to other accounts of an account that saves in a loop."""
    for count in (100, 1_000, 10_000):
        click.echo(f"a change among {count:>6,} services: {1e6 * _one_change(count):>8,.0f} us")
    try:
        asyncio.run(_run(config.load(), services, connections, seconds))
    except (ConfigError, RetryableError) as error:
        print(f"broken: {error}", file=sys.stderr)
        sys.exit(1)


def _one_change(count: int) -> float:
    values = [orjson.dumps(one) for one in many(count)]
    directory = Directory(map(read_service, values))
    took = []
    for value in values[:_CHANGES]:
        service = read_service(value)
        for sender in service.senders:
            directory.handling(service.account_sid, None, sender.address)
        began = time.perf_counter()
        directory.change({service.sid: service})
        took.append(time.perf_counter() - began)
    return median(took)


async def _run(settings: Settings, services: int, connections: int, seconds: float) -> None:
    settings = settings.model_copy(
        update={
            "topic_prefix": f"bench-{uuid.uuid4().hex[:8]}.",
            "secret_keys": SecretStr(SEALING_KEY),
        }
    )
    await topic_admin.create(settings)
    tokens = {account: new_token() for account in (ACCOUNT, OTHER_ACCOUNT)}
    async with configuration(settings) as stored:
        accounts = [new_account(settings, *one, "Bench", made=True) for one in tokens.items()]
        await stored.update(
            lambda: [edit_of_account(None, account) for account in accounts], actor="bench"
        )
    topics = Topics.under(settings.topic_prefix)
    alone = settings.model_copy(update={"partitions": 1})
    async with bulk_writer(alone, topics.messaging_services) as out:
        for one in many(services):
            await out.send([(one["sid"].encode(), orjson.dumps(one))])
    for name, value in (await report.versions(settings)).items():
        click.echo(f"{name:<9} {value}")
    async with AsyncExitStack() as stack:
        match, gate = [
            (await stack.enter_async_context(_started(settings, "worker", OPTOUT_ROLES=role))).pid
            for role in ("match", "gate")
        ]
        base = await _api(settings, stack)
        sessions = {}
        for account, token in tokens.items():
            login = {"Authorization": aiohttp.encode_basic_auth(account, token)}
            of_account = aiohttp.ClientSession(
                base, headers=login, connector=aiohttp.TCPConnector(limit=0)
            )
            sessions[account] = await stack.enter_async_context(of_account)
        loop, other = sessions[ACCOUNT], sessions[OTHER_ACCOUNT]
        service = await made(other, "/v1/Services", {"FriendlyName": "Bench"})
        bench = _Bench(settings, other, f"/v1/Services/{service}", {"match": match, "gate": gate})
        await bench.phase("warm-up", _WARM_UP_S)
        _print(await bench.phase("alone", seconds))
        _print(await bench.phase("beside the loop", seconds, loop, connections))


async def _api(settings: Settings, stack: AsyncExitStack) -> str:
    api = await stack.enter_async_context(_started(settings, "api", "--quiet"))
    assert api.stdout is not None
    base = (await api.stdout.readline()).decode().split()[-1]
    async with aiohttp.ClientSession(base) as session, asyncio.timeout(_READY_S):
        while not await is_ready(session):
            await asyncio.sleep(0.1)
    return base


@asynccontextmanager
async def _started(
    settings: Settings, *command: str, **more: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {
        "OPTOUT_TOPIC_PREFIX": settings.topic_prefix,
        "OPTOUT_API_RATE": "0",
        "OPTOUT_ACCOUNT_SERVICES": str(1 << 30),
        "OPTOUT_ACCOUNT_CONFIGURATION_BYTES": str(1 << 40),
        "OPTOUT_API_HOST": "127.0.0.1",
        "OPTOUT_SECRET_KEYS": SEALING_KEY,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "processor", *command),
        env=environment | more,
        stdout=asyncio.subprocess.PIPE if command[0] == "api" else asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


class _Bench:
    """Saves of one account, messages through both workers, and possibly the loop."""

    def __init__(
        self, settings: Settings, session: aiohttp.ClientSession, path: str, pids: dict[str, int]
    ) -> None:
        self._settings = settings
        self._topics = Topics.under(settings.topic_prefix)
        self._session = session
        self._path = path
        self._pids = pids
        self._traffic = traffic(keyword_share=5 * KEYWORD_SHARE)

    async def phase(
        self,
        name: str,
        seconds: float,
        loop: aiohttp.ClientSession | None = None,
        connections: int = 0,
    ) -> Phase:
        """Measure the waits of others, with so many connections that save."""
        phase = Phase(name)
        before = {role: cpu_seconds(pid) for role, pid in self._pids.items()}
        began = time.monotonic()
        asides = [self._save(phase)]
        if loop:
            asides += [self._save_on(phase, loop, number) for number in range(connections)]
        tasks = [asyncio.create_task(work) for work in asides]
        try:
            count = await self._messages(phase, seconds)
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
        phase.saves_of_loop = round(phase.saves_of_loop / (time.monotonic() - began))
        phase.cpu_us = {
            role: 1e6 * (cpu_seconds(pid) - before[role]) / count
            for role, pid in self._pids.items()
        }
        return phase

    async def _save(self, phase: Phase) -> None:
        while True:
            began = time.perf_counter()
            form = {"FriendlyName": f"Bench {uuid.uuid4().hex}"}
            await answered(await self._session.post(self._path, data=form))
            phase.saves.append(time.perf_counter() - began)
            await asyncio.sleep(_BETWEEN_SAVES_S)

    async def _save_on(self, phase: Phase, session: aiohttp.ClientSession, number: int) -> None:
        while True:
            form = {"FriendlyName": f"Brand {uuid.uuid4().hex}"}
            await answered(await session.post(f"/v1/Services/MG{number:032x}", data=form))
            phase.saves_of_loop += 1

    async def _messages(self, phase: Phase, seconds: float) -> int:
        """Send at a rate, and time the results."""
        sent: dict[str, float] = {}
        async with AsyncExitStack() as stack:
            for topic, name, took in (
                (self._topics.allowed_sends, "message_sid", phase.verdicts),
                (self._topics.reply_sends, "in_reply_to", phase.replies),
            ):
                consumer = await stack.enter_async_context(
                    reader(self._settings, [topic], at_end=True)
                )
                await stack.enter_async_context(_beside(_listen(consumer, name, sent, took)))
            inbound, outbound = [
                await stack.enter_async_context(bulk_writer(self._settings, topic))
                for topic in (self._topics.inbound_messages, self._topics.outbound_messages)
            ]
            count = await self._send(inbound, outbound, sent, seconds)
            deadline = time.monotonic() + _LAST_S
            while not (phase.verdicts and phase.replies) and time.monotonic() < deadline:
                await asyncio.sleep(_TICK_S)
            await asyncio.sleep(1)  # for the last results
        return count

    async def _send(
        self, inbound: BulkWriter, outbound: BulkWriter, sent: dict[str, float], seconds: float
    ) -> int:
        count, began = 0, time.monotonic()
        while (now := time.monotonic()) < began + seconds:
            due = round((now - began) * _RATE) - count
            at_ms = time.time_ns() // 1_000_000
            for out, make in ((inbound, self._traffic.inbound), (outbound, self._traffic.sends)):
                records = make(due, at_ms)
                at = time.monotonic()
                sent.update((orjson.loads(value)["message_sid"], at) for _, value in records)
                await out.send(records)
            count += due
            await asyncio.sleep(max(0, now + _TICK_S - time.monotonic()))
        return count


@asynccontextmanager
async def _beside(work: Awaitable[None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _listen(consumer: Any, name: str, sent: dict[str, float], took: list[float]) -> None:
    while True:
        found = await consumer.getmany(timeout_ms=200)
        at = time.monotonic()
        for records in found.values():
            sids = (orjson.loads(record.value)[name] for record in records)
            took.extend(at - sent[sid] for sid in sids if sid in sent)


def _print(phase: Phase) -> None:
    click.echo(f"\n{phase.name}: the loop saves {phase.saves_of_loop:,} times a second")
    for name, took in (
        ("another's save", phase.saves),
        ("verdict", phase.verdicts),
        ("reply", phase.replies),
    ):
        hundredths = quantiles(took, n=100)
        p50, p99 = 1000 * hundredths[49], 1000 * hundredths[98]
        click.echo(f"  {name:<15} {len(took):>7,}  p50 {p50:>7.1f} ms  p99 {p99:>7.1f} ms")
    for role, cpu_us in phase.cpu_us.items():
        click.echo(f"  {role:<15} CPU {cpu_us:>7.0f} us a message at {_RATE} a second")


if __name__ == "__main__":
    main()
