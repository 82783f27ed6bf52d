"""One process with a lane of each role for every partition: `python -m tests.bench.many_lanes`.

The worker has 216 partitions and both roles. A round is a keyword and a send in every partition,
some partitions at a time. Measured are the time until all lanes run, the time of a round, and the
number of Redis connections.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import httpx
from redis.asyncio import Redis

from deploy.local import stack
from processor import config
from processor.config import Settings
from processor.core.partitions import partition_of
from processor.kafka.topics import topic_admin
from tests.bench import report
from tests.bench.capacity import WORKER, _end
from tests.bench.worker import memory_mb
from tests.clinic import a_send, a_text
from tests.installation import Installation, until
from tests.processes import a_port

_DEADLINE_S = 300.0


@click.command()
@click.option("--partitions", default=216, show_default=True)
@click.option("--rounds", default=2, show_default=True)
@click.option("--at-once", default=24, show_default=True, help="Partitions with records at a time.")
def main(partitions: int, rounds: int, at_once: int) -> None:
    """Print how a worker of many lanes starts and works."""
    with TemporaryDirectory() as directory:
        home = Path(directory)
        with stack.kafka(home) as broker, stack.valkey(home) as redis:
            settings = config.load(
                kafka_bootstrap=broker.address,
                redis_url=f"redis://{redis.address}/0",
                topic_prefix=f"b{uuid.uuid4().hex[:8]}.",
                partitions=partitions,
                roles=("match", "gate"),
            )
            asyncio.run(_run(settings, redis.port, rounds, at_once, home))


async def _run(settings: Settings, redis_port: int, rounds: int, at_once: int, home: Path) -> None:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # clients retry by themselves
    print(f"load before it {os.getloadavg()[0]:.1f}, {await report.versions(settings)}")
    await topic_admin.create(settings)
    at = Installation(settings)
    people = _one_each(settings.partitions)
    async with AsyncExitStack() as running:
        log, port = home / "worker.log", a_port()
        worker = await asyncio.create_subprocess_exec(
            *stack.tied_to_this_process("KILL", WORKER),
            env=os.environ
            | {
                "OPTOUT_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
                "OPTOUT_REDIS_URL": settings.redis_url,
                "OPTOUT_TOPIC_PREFIX": settings.topic_prefix,
                "OPTOUT_PARTITIONS": str(settings.partitions),
                "OPTOUT_ROLES": "match,gate",
                "OPTOUT_WEB_PORT": str(port),
            },
            stderr=running.enter_context(log.open("wb")),
            stdout=asyncio.subprocess.DEVNULL,
        )
        running.push_async_callback(_end, worker)
        began = time.monotonic()

        async def all_run() -> bool:
            return await _is_ready(port)

        await until(all_run, "worker whose lanes all run", _DEADLINE_S)
        lanes = 2 * settings.partitions
        print(f"{lanes} lanes run after {time.monotonic() - began:.1f} s")
        for number in range(rounds):
            began, body = time.monotonic(), ("stop", "start")[number % 2]
            for start in range(0, len(people), at_once):
                some = people[start : start + at_once]
                await at.texts(
                    *(a_text(f"M{number}x{one[1:]}", body, **{"from": one}) for one in some)
                )
                await at.sends(*(a_send(f"S{number}x{one[1:]}", to=one) for one in some))
                await at.wait_for_no_lag("match", "gate", deadline_s=_DEADLINE_S)
            print(f"round {number + 1}: {lanes} records in {time.monotonic() - began:.1f} s")
        answered = len(await at.values(at.topics.reply_sends))
        judged = [
            len(await at.values(topic))
            for topic in (at.topics.allowed_sends, at.topics.message_statuses)
        ]
        wanted = rounds * settings.partitions
        if answered != wanted or sum(judged) != wanted:
            raise click.ClickException(f"{answered} replies, {judged} verdicts of {wanted}")
        async with Redis(port=redis_port) as asked:
            connections = len(await asked.client_list()) - 1
        failed = log.read_text().count("lane.failed")
        print(
            f"{answered} replies, {sum(judged)} verdicts; {connections} connections to Redis, "
            f"{memory_mb('VmRSS', worker.pid):.0f} MB, {failed} lanes failed"
        )


def _one_each(partitions: int) -> list[str]:
    """A number for every partition."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < partitions:
        one = f"+1555{number:07d}"
        found.setdefault(partition_of(one.encode(), partitions), one)
        number += 1
    return list(found.values())


async def _is_ready(port: int) -> bool:
    """Whether the worker reports that it is ready."""
    try:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{port}/readyz")
    except httpx.TransportError:
        return False
    return answer.status_code == 200


if __name__ == "__main__":
    main()
