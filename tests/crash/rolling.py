"""Workers restarted one after another under constant load: what that costs; `make rolling`.

Each leaves its groups, and joins them again: its partitions change hands twice, others do not.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import orjson

from deploy.local import stack
from processor import config
from processor.audit import Report, audit
from processor.cli.traffic import Sender, Traffic
from processor.config import Settings
from processor.kafka.client import bulk_writer, read_whole
from processor.kafka.topics import topic_admin
from processor.wire.topics import Topics
from tests.builders import ACCOUNT, LONG_CODE
from tests.installation import Installation
from tests.worker_process import WorkerProcess, settled

WORKERS = 3
_TICK_S = 0.05
_DEADLINE_S = 120.0
_AFTER_S = 2.0  # of load when all are back


@dataclass(frozen=True, slots=True)
class Rolled:
    """The results of a round of restarts."""

    messages: int  # inbound, and as many sends
    taken_by_others: int  # partitions that workers which stayed took
    longest_s: Mapping[str, float]  # role to the longest that a record waited
    report: Report


async def roll(settings: Settings, home: Path, *, static: bool, rate: int) -> Rolled:
    """Restart every worker once, one after another, under load, and compare everything.

    Args:
        settings: of an installation of its own, its topics made.
        home: where logs go.
        static: whether workers are static members.
        rate: inbound messages a second, and as many sends.
    """
    at, prefix = Installation(settings), settings.topic_prefix
    workers = [
        WorkerProcess(
            settings, home / f"{prefix}{number}.log", f"worker-{number}" if static else None
        )
        for number in range(WORKERS)
    ]
    async with AsyncExitStack() as running:
        for worker in workers:
            running.push_async_callback(worker.stop)
            await worker.start()
        await settled(workers, settings)
        async with _load(settings, rate) as written:
            taken = 0
            for worker in workers:
                others = [one for one in workers if one is not worker]
                before = sum(len(one.takes()) for one in others)
                await worker.stop()
                await worker.start()
                await asyncio.sleep(_AFTER_S)
                taken += sum(len(one.takes()) for one in others) - before
        await at.wait_for_no_lag("match", "gate", deadline_s=_DEADLINE_S)
    topics = at.topics
    longest_s = {
        "match": await _longest_s(settings, topics.inbound_messages, topics.opt_out_notifications),
        "gate": await _longest_s(settings, topics.outbound_messages, topics.allowed_sends),
    }
    return Rolled(written[0], taken, longest_s, await audit(settings))


@asynccontextmanager
async def _load(settings: Settings, rate: int) -> AsyncIterator[list[int]]:
    """Messages and sends at a rate while the block runs; how many, in the end."""
    written = [0]
    loading = asyncio.create_task(_write(settings, rate, written))
    try:
        yield written
    finally:
        loading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loading


async def _write(settings: Settings, rate: int, written: list[int]) -> None:
    topics = Topics.under(settings.topic_prefix)
    made = Traffic(1, Sender(ACCOUNT, None, LONG_CODE), recipients=1_000, keyword_share=0.2)
    began = time.monotonic()
    async with (
        bulk_writer(settings, topics.inbound_messages) as inbound,
        bulk_writer(settings, topics.outbound_messages) as outbound,
    ):
        while True:
            due = round((time.monotonic() - began) * rate) - written[0]
            at_ms = time.time_ns() // 1_000_000
            await inbound.send(made.inbound(due, at_ms))
            await outbound.send(made.sends(due, at_ms))
            written[0] += due
            await asyncio.sleep(_TICK_S)


async def _longest_s(settings: Settings, source: str, output: str) -> float:
    """The longest from a record's time to that of what was made of it."""
    asked = {
        orjson.loads(record.value)["message_sid"]: record.timestamp
        async for record in read_whole(settings, source)
    }
    waits_ms: list[int] = [
        record.timestamp - asked[orjson.loads(record.value)["message_sid"]]
        async for record in read_whole(settings, output)
    ]
    return max(waits_ms) / 1000


@click.command()
@click.option("--rate", type=click.IntRange(10), default=500, show_default=True, help="A second.")
@click.option("--partitions", type=click.IntRange(3), default=12, show_default=True)
@click.option("--session", type=click.FloatRange(6), default=45.0, show_default=True)
def main(rate: int, partitions: int, session: float) -> None:
    """Roll three workers, without and with static membership; exit 1 where the audit objects."""
    sys.exit(asyncio.run(_both(rate, partitions, session)))


async def _both(rate: int, partitions: int, session: float) -> int:
    objections = 0
    with TemporaryDirectory() as directory, ExitStack() as servers:
        home = Path(directory)
        broker = servers.enter_context(stack.kafka(home))  # its log tells the rebalances
        redis = servers.enter_context(stack.valkey(home))
        for static in (False, True):
            settings = config.load(
                kafka_bootstrap=broker.address,
                redis_url=f"redis://{redis.address}/0",
                topic_prefix=f"rolling-{uuid.uuid4().hex[:8]}.",
                partitions=partitions,
                session_timeout_s=session,
            )
            await topic_admin.create(settings)
            rolled = await roll(settings, home, static=static, rate=rate)
            _print(rolled, static, _rebalances(broker.log, settings.topic_prefix))
            objections += len(rolled.report.violations)
    return 1 if objections else 0


def _rebalances(log: Path, prefix: str) -> dict[str, int]:
    """How often the broker had each group rebalance, the start of the workers included."""
    said = log.read_text(errors="replace")
    return {
        role: len(re.findall(f"Preparing to rebalance group {re.escape(prefix)}{role} ", said))
        for role in ("match", "gate")
    }


def _print(rolled: Rolled, static: bool, rebalances: Mapping[str, int]) -> None:
    print(f"{'static' if static else 'dynamic'} members, {rolled.messages:,} messages and sends")
    print(f"  rebalances, start and end included: {_words(rebalances)}")
    print(f"  partitions that workers which stayed took anew: {rolled.taken_by_others}")
    print(f"  longest wait, s: {_words(rolled.longest_s)}")
    print(f"  checked: {sum(rolled.report.counts.values()):,}, wrong: ", end="")
    print(len(rolled.report.violations), *(_first(rolled.report)), sep="\n    ", flush=True)


def _words(by_role: Mapping[str, float]) -> str:
    return ", ".join(f"{role} {value:.4g}" for role, value in by_role.items())


def _first(report: Report) -> Sequence[str]:
    return [f"{one.kind}: {one.where}: {one.what}" for one in report.violations[:20]]


if __name__ == "__main__":
    main()
