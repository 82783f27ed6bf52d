"""An installation under test: workers in this process, records in, records out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiokafka import TopicPartition

from processor.config import Settings
from processor.core.addresses import subscriber_key
from processor.kafka.reading import read_whole, reader
from processor.kafka.topics.topic_plan import plans
from processor.kafka.writing import Outgoing, writer
from processor.stages.deliver_webhooks import Tokens
from processor.wire.topics import Topics
from processor.worker.runtime import Runtime
from schemas import MODELS
from tests.lag import group_lags

DEADLINE_S = 180.0  # far more than a wait takes on a machine with other work to do


@asynccontextmanager
async def running(
    settings: Settings,
    at_step: Callable[[str], None] = lambda step: None,
    provider: Any = None,
    tokens: Tokens | None = None,
) -> AsyncIterator[Runtime]:
    """A worker in this process, stopped as SIGTERM would stop it."""
    runtime = Runtime(settings, at_step, provider, tokens)
    await runtime.wait_for_servers()
    runtime.start()
    try:
        yield runtime
    finally:
        ended = await runtime.stop()
    assert ended, "the worker did not end in time, or failed"


class Installation:
    """Writes to an installation's topics and reads them back."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topics = Topics.under(settings.topic_prefix)
        self._partitions = {plan.name: plan.partitions for plan in plans(settings)}

    async def write(self, topic: str, *values: dict[str, Any]) -> None:
        """Write records with their proper keys."""
        records = [Outgoing(topic, _key(value).encode(), orjson.dumps(value)) for value in values]
        await self.write_raw(*records)

    async def write_raw(self, *records: Outgoing) -> None:
        """Write records unchanged."""
        async with writer(self.settings) as out:
            await out.send_all(records)

    async def texts(self, *values: dict[str, Any]) -> None:
        """Write texts of recipients to us."""
        await self.write(self.topics.inbound_messages, *values)

    async def sends(self, *values: dict[str, Any]) -> None:
        """Write sends of the application."""
        await self.write(self.topics.outbound_messages, *values)

    async def records(self, topic: str) -> list[Any]:
        """Every committed record that a topic has now."""
        partitions = range(self._partitions[topic])
        return [record async for record in read_whole(self.settings, topic, partitions=partitions)]

    async def values(self, topic: str) -> list[dict[str, Any]]:
        """Every committed value that a topic has now, each checked against its schema."""
        model = MODELS[topic.removeprefix(self.settings.topic_prefix)]
        values = [record.value for record in await self.records(topic)]
        for value in values:
            model.model_validate_json(value)
        return [orjson.loads(value) for value in values]

    async def values_or_tombstones(self, topic: str) -> list[dict[str, Any] | None]:
        """Every committed value that a compacted topic has now, None for a tombstone."""
        records = await self.records(topic)
        return [None if one.value is None else orjson.loads(one.value) for one in records]

    async def lag(self, role: str) -> int:
        """How many records of its sources a role's group has not committed."""
        return sum((await self.lags(role)).values())

    async def lags(self, role: str) -> Mapping[TopicPartition, int]:
        """The same by partition; only where there are any."""
        sources = self.topics.sources(role)
        return await group_lags(self.settings, f"{self.settings.topic_prefix}{role}", sources)

    async def wait_for(self, topic: str, count: int) -> list[dict[str, Any]]:
        """The values of a topic, once there are at least this many."""
        await self._wait_for_records(topic, count)
        return await self.values(topic)

    async def wait_for_letters(self, count: int) -> None:
        """Wait until there are so many dead letters."""
        await self._wait_for_records(self.topics.dead_letters, count)

    async def _wait_for_records(self, topic: str, count: int) -> None:
        """Wait with one consumer: a new one for each check would cost more than the tested work."""
        seen = 0
        partitions = range(self._partitions[topic])
        async with reader(self.settings, [topic], at_end=False, partitions=partitions) as consumer:

            async def enough() -> bool:
                nonlocal seen
                found = await consumer.getmany(timeout_ms=100)
                seen += sum(map(len, found.values()))
                return seen >= count

            await until(enough, f"{count} records on {topic}", pause_s=0)

    async def wait_for_no_lag(self, *roles: str, deadline_s: float = DEADLINE_S) -> None:
        """Wait until these roles have committed everything in their sources."""

        async def done() -> bool:
            return not any([await self.lag(role) for role in roles])

        await until(done, f"{' and '.join(roles)} without a lag", deadline_s)


async def until(
    condition: Callable[[], Any],
    what: str,
    deadline_s: float = DEADLINE_S,
    *,
    pause_s: float = 0.1,
) -> None:
    """Wait for a condition, with a deadline that fails the test."""
    deadline = time.monotonic() + deadline_s
    while not await condition():
        assert time.monotonic() < deadline, f"no {what} within {deadline_s:.0f} s"
        await asyncio.sleep(pause_s)


async def measured(runtime: Runtime, name: str, expected: float, **labels: str) -> None:
    """Wait for a metric, which a lane writes a moment after its commit; more is a failure."""

    def found() -> float:
        return runtime.shared.metrics.registry.get_sample_value(name, labels) or 0

    async def enough() -> bool:
        return found() >= expected

    await until(enough, f"{name} of {expected}")
    assert found() == expected


async def topics_apart() -> None:
    """Wait until new records are over a second later than those before (R23)."""
    since = time.time()

    async def apart() -> bool:
        return time.time() > since + 1.1

    await until(apart, "second")


def _key(value: dict[str, Any]) -> str:
    name = "recipient" if "recipient" in value else "from" if "received_at" in value else "to"
    return subscriber_key(str(value[name]))


def by_sid(values: Sequence[dict[str, Any]], name: str = "message_sid") -> dict[str, Any]:
    """Values by their message; fails if a message has two."""
    found = {value[name]: value for value in values}
    assert len(found) == len(values), f"a {name} appears twice"
    return found
