"""Time and memory of an audit: `python -m tests.bench.audit`, beside a broker and a Redis.

    .venv/bin/python deploy/local/stack.py -- .venv/bin/python -m tests.bench.audit

The real lanes of match and gate make the topics: as many inbound messages as sends, 2 % of them
keywords, of a million recipients. Then `optout audit` is timed in a process of its own: the first
audit, from the beginning, and one that goes on from there and finds nothing new. Memory is the most
that any of its processes had, by the kernel's count.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import orjson

from processor import config
from processor.config import Settings
from processor.errors import ConfigError, RetryableError
from processor.kafka.topics import topic_admin
from processor.kafka.writing import bulk_writer
from processor.servers import settle_memory
from processor.wire.topics import Topics
from tests.bench.load import AT_MS, KEYWORD_SHARE, chunks, traffic
from tests.installation import Installation, running

_DEADLINE_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Audited:
    """The measurements of one audit."""

    took_s: float
    cpu_s: float
    most_mib: float  # of the largest process
    records: int
    violations: int


@click.command()
@click.option(
    "--messages",
    type=click.IntRange(1_000),
    multiple=True,
    default=(100_000, 1_000_000),
    show_default=True,
    help="Inbound messages, and as many sends; an installation for each number.",
)
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True)
@click.option("--partitions", type=click.IntRange(1), default=12, show_default=True)
def main(messages: Sequence[int], processes: int, partitions: int) -> None:
    """Measure the audit of installations of several sizes."""
    print(f"load of the machine when it began: {os.getloadavg()[0]:.1f}", flush=True)
    try:
        for count in messages:
            asyncio.run(_measure(config.load(), count, processes, partitions))
    except (ConfigError, RetryableError) as error:
        print(f"broken: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"load of the machine when it ended: {os.getloadavg()[0]:.1f}")


async def _measure(given: Settings, count: int, processes: int, partitions: int) -> None:
    changes = {"topic_prefix": f"audit{uuid.uuid4().hex[:8]}.", "partitions": partitions}
    settings = given.model_copy(update={**changes, "roles": ("match", "gate")})
    await topic_admin.create(settings)
    made_s = await _make(settings, count)
    print(f"{count:,} inbound messages and {count:,} sends, made in {made_s:.0f} s")
    with tempfile.TemporaryDirectory() as directory:
        for name in ("the first audit", "the next one"):
            found = await _audited(settings, Path(directory), processes)
            print(
                f"  {name + ':':<16} {found.took_s:>6.1f} s, {found.cpu_s:>6.1f} s of CPU,"
                f" {found.most_mib:>4.0f} MiB at most in a process, {found.records:>9,} records,"
                f" {found.violations} violations",
                flush=True,
            )


async def _make(settings: Settings, count: int) -> float:
    """Write messages and sends while the lanes process them; return the time it took, seconds."""
    began, topics = time.monotonic(), Topics.under(settings.topic_prefix)
    made, sent = traffic(keyword_share=KEYWORD_SHARE), traffic(keyword_share=0)
    at = Installation(settings)
    async with (
        running(settings),
        bulk_writer(settings, topics.inbound_messages) as inbound,
        bulk_writer(settings, topics.outbound_messages) as outbound,
    ):
        settle_memory()
        for size in chunks(count):
            await inbound.send(made.inbound(size, AT_MS))
            await outbound.send(sent.sends(size, AT_MS))
        await at.wait_for_no_lag("match", "gate", deadline_s=_DEADLINE_S)
    return time.monotonic() - began


async def _audited(settings: Settings, directory: Path, processes: int) -> Audited:
    environment = os.environ | {
        "OPTOUT_TOPIC_PREFIX": settings.topic_prefix,
        "OPTOUT_PARTITIONS": str(settings.partitions),
        "OPTOUT_AUDIT_DIRECTORY": str(directory),
    }
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.measured", "audit", "--json"),
        *("--processes", str(processes)),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    took_s = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result, measured = said.splitlines()[:-1], orjson.loads(said.splitlines()[-1])
    fields = orjson.loads(b"\n".join(result))
    for violation in fields["violations"][:5]:
        print(f"    {violation['kind']}: {violation['where']}: {violation['what']}")
    return Audited(
        took_s,
        cpu_s,
        measured["most_mib"],
        sum(count for name, count in fields["counts"].items() if name.endswith((".v1", ".v2"))),
        len(fields["violations"]),
    )


if __name__ == "__main__":
    main()
