"""Thousands of commands for one recipient, and for as many: how long each takes, what others wait.

`.venv/bin/python deploy/local/stack.py -- .venv/bin/python -m tests.bench.crowded`. All times are
append times, by the broker's clock.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import uuid
from asyncio.subprocess import DEVNULL
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import click
import orjson

from processor import config
from processor.config import Settings
from processor.core.partitions import partition_of
from processor.kafka.client import Outgoing, bulk_writer, writer
from processor.kafka.topics import topic_admin
from tests.builders import LONG_CODE, RECIPIENT, command_record, inbound_record
from tests.installation import Installation, until

_PAUSE_S = 0.02
_DEADLINE_S = 120.0
_OPTOUT = Path(sys.executable).with_name("optout")


@click.command()
@click.option("--commands", type=click.IntRange(1), default=5_000, show_default=True)
@click.option("--texts", type=click.IntRange(10), default=300, show_default=True)
def main(commands: int, texts: int) -> None:
    """Print how long the commands took, and what neighbours of the recipient waited meanwhile."""
    asyncio.run(_run(config.load(), commands, texts))


async def _run(given: Settings, commands: int, texts: int) -> None:
    settings = given.model_copy(update={"topic_prefix": f"bench-{uuid.uuid4().hex[:8]}."})
    await topic_admin.create(settings)
    at, numbers = Installation(settings), _neighbours(settings)
    said = {
        "OPTOUT_TOPIC_PREFIX": settings.topic_prefix,
        "OPTOUT_ROLES": "match",
    }
    worker = await asyncio.create_subprocess_exec(
        _OPTOUT, "worker", env={**os.environ, **said}, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        await _text(at, numbers, 20, "warm")
        waits = {"alone": await _text(at, numbers, texts, "alone")}
        took_s: dict[str, float] = {}
        for name, recipients in (("one", [RECIPIENT]), ("many", list(islice(numbers, commands)))):
            crowd = asyncio.create_task(_text(at, numbers, texts, name))
            await asyncio.sleep(texts * _PAUSE_S / 3)
            took_s[name] = await _command(at, commands, recipients)
            waits[name] = await crowd
    finally:
        worker.terminate()
        await worker.wait()
    for name, seconds in took_s.items():
        print(f"{commands:,} commands, recipients: {name}: {seconds:.2f} s from first to last")
    for name, ms in waits.items():
        p50, p99 = statistics.median(ms), statistics.quantiles(ms, n=100)[98]
        print(
            f"replies in the partition, commands meanwhile: {name}: p50 {p50:.0f}, p99 {p99:.0f} ms"
        )


def _neighbours(settings: Settings) -> Iterator[str]:
    """Other recipients of the same partition."""
    place = partition_of(RECIPIENT.encode(), settings.partitions)
    for number in range(10_000_000):
        if partition_of(f"+1556{number:07d}".encode(), settings.partitions) == place:
            yield f"+1556{number:07d}"


async def _text(at: Installation, numbers: Iterator[str], count: int, name: str) -> Sequence[float]:
    """Send one STOP after another, each from a new recipient; return the ms until each reply."""
    async with writer(at.settings) as out:
        for number in range(count):
            sender = next(numbers)
            fields = {"message_sid": f"{name}{number}", "from": sender, "to": LONG_CODE}
            value = orjson.dumps(inbound_record("stop") | fields)
            await out.send(Outgoing(at.topics.inbound_messages, sender.encode(), value))
            await asyncio.sleep(_PAUSE_S)
    written = {
        orjson.loads(one.value)["message_sid"]: one.timestamp
        for one in await at.records(at.topics.inbound_messages)
    }
    replied: dict[str, int] = {}

    async def all_replied() -> bool:
        replied.update(
            (orjson.loads(one.value)["in_reply_to"], one.timestamp)
            for one in await at.records(at.topics.reply_sends)
        )
        return sum(sid.startswith(name) for sid in replied) == count

    await until(all_replied, "all replies", _DEADLINE_S)
    return [replied[sid] - at_ms for sid, at_ms in written.items() if sid.startswith(name)]


async def _command(at: Installation, count: int, recipients: Sequence[str]) -> float:
    """Seconds from the first command's append to what came of the last."""
    records = []
    for one in range(count):
        recipient = recipients[one % len(recipients)]
        fields = {"command_id": f"C{len(recipients)}-{one}", "recipient": recipient}
        place = {"scope": "sender", "sender": f"+1557{one:07d}"}
        records.append((recipient.encode(), orjson.dumps(command_record(**fields, **place))))
    async with bulk_writer(at.settings, at.topics.consent_commands) as out:
        await out.send(records)

    async def done() -> bool:
        return not await at.lag("match")

    await until(done, "commands carried out", _DEADLINE_S)
    keys = {recipient.encode() for recipient in recipients}

    async def times(*topics: str) -> list[int]:
        found = [one for topic in topics for one in await at.records(topic)]
        return [int(one.timestamp) for one in found if one.key in keys]

    given = await times(at.topics.consent_commands)
    came = await times(at.topics.block_changes, at.topics.dead_letters)
    return (max(came) - min(given)) / 1000


if __name__ == "__main__":
    main()
