"""Installations for one benchmark: created before it, inspected, and removed after it."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaTimeoutError

from processor.config import Settings
from processor.errors import ConfigError
from processor.kafka.protocol import CreateTopics
from processor.kafka.reading import reader
from processor.kafka.topics import topic_plan
from processor.stores.redis_client import RedisClient
from processor.wire.topics import Topics
from tests.bench.jobs import Role

PARTITIONS = 12
_CHUNK = 10_000
_SETTLED_S = 10.0
_READY_S = 120.0  # a busy broker takes long to make hundreds of partitions

# Each needs fewer topics than an installation has, as a broker is slow while it creates them.
Input = Literal["inbound", "outbound", "few_inbound", "one_service", "many_services"]
INPUTS: Mapping[Input, tuple[str, ...]] = {
    "inbound": ("messaging_services", "inbound_messages"),
    "outbound": ("messaging_services", "outbound_messages", "block_list"),
    "few_inbound": ("inbound_messages",),
    "one_service": ("messaging_services", "inbound_messages"),
    "many_services": ("messaging_services", "inbound_messages"),
}
_MATCH = (
    *("consent_commands", "block_list", "block_changes", "suspected_opt_outs"),
    *("reply_sends", "opt_out_notifications", "opt_out_counts", "dead_letters"),
)
OUTPUTS: Mapping[Role, tuple[str, ...]] = {
    "passthrough": ("allowed_sends",),
    "match": _MATCH,
    "one_service": _MATCH,
    "many_services": _MATCH,
    "gate": ("accounts", "allowed_sends", "message_statuses", "send_counts", "dead_letters"),
    "faust": ("block_changes", "reply_sends", "opt_out_notifications"),
}


class Installations:
    """All installations of a benchmark, by name; their topics and keys share a prefix."""

    def __init__(self, settings: Settings, admin: Any) -> None:
        self._settings = settings
        self._admin = admin
        self.prefix = f"bench-{uuid.uuid4().hex[:8]}-"
        self._topics: dict[str, int] = {}  # full name to partitions

    def settings_of(self, name: str) -> Settings:
        """The settings of one of them."""
        return self._settings.model_copy(
            update={
                "topic_prefix": f"{self.prefix}{name}.",
                "partitions": PARTITIONS,
                "instance_id": None,
            }
        )

    async def add(self, name: str, topics: tuple[str, ...]) -> Settings:
        """Create topics, by their names in ``Topics``, under a separate prefix."""
        made = self.settings_of(name)
        under = Topics.under(made.topic_prefix)
        wanted = {getattr(under, topic) for topic in topics}
        plans = [plan for plan in topic_plan.plans(made) if plan.name in wanted]
        answer = await self._admin._send_to_controller(
            CreateTopics([(plan.name, plan.partitions, plan.config) for plan in plans])
        )
        if problems := [str(error) for error in answer.topic_errors if error[1]]:
            raise ConfigError(problems)
        self._topics |= {plan.name: plan.partitions for plan in plans}
        return made

    async def wait_ready(self) -> None:
        """Wait until every partition answers, which is seconds after its creation."""
        consumer = AIOKafkaConsumer(**self._settings.kafka())
        await consumer.start()
        logger = logging.getLogger("aiokafka")
        level = logger.level
        try:
            logger.setLevel(logging.CRITICAL)  # clients retry by themselves
            deadline = time.monotonic() + _READY_S
            for name, count in self._topics.items():
                places = [TopicPartition(name, number) for number in range(count)]
                while True:
                    try:
                        await consumer.end_offsets(places)
                        break
                    except KafkaTimeoutError:
                        if time.monotonic() > deadline:
                            raise
        finally:
            logger.setLevel(level)
            await consumer.stop()

    async def remove(self) -> None:
        """Remove all topics and Redis keys."""
        client = RedisClient(self._settings.redis_url, timeout_s=60)
        try:
            # Topics that another version made have the prefix, too.
            topics = [one for one in await self._admin.list_topics() if one.startswith(self.prefix)]
            if topics:
                await self._admin.delete_topics(topics)
            keys = [key async for key in client.redis.scan_iter(f"{self.prefix}*", _CHUNK)]
            for start in range(0, len(keys), _CHUNK):
                await client.redis.unlink(*keys[start : start + _CHUNK])
        finally:
            await client.close()


@asynccontextmanager
async def installations(settings: Settings) -> AsyncIterator[Installations]:
    """Yields a place for installations; removes all of them at the end."""
    admin = AIOKafkaAdminClient(**settings.kafka())
    try:
        await admin.start()
        made = Installations(settings, admin)
        try:
            yield made
        finally:
            await made.remove()
    finally:
        await admin.close()


async def problems(settings: Settings, expected: Mapping[str, int]) -> list[str]:
    """The outputs with wrong counts; ``expected`` is the number of records by topic."""
    topics = Topics.under(settings.topic_prefix)
    deadline = time.monotonic() + _SETTLED_S
    while True:
        found = {name: await _count(settings, getattr(topics, name)) for name in expected}
        # A commit is answered before its markers, which make the records readable, are written.
        if found == dict(expected) or time.monotonic() > deadline:
            break
    return [
        f"{name}: {found[name]:,} records where {wanted:,} are expected"
        for name, wanted in expected.items()
        if found[name] != wanted
    ]


async def _count(settings: Settings, topic: str) -> int:
    """How many committed records a topic has now."""
    found = 0
    async with reader(settings, [topic], at_end=False) as consumer:
        ends = await consumer.end_offsets(list(consumer.assignment()))
        while open_ends := [tp for tp, end in ends.items() if await consumer.position(tp) < end]:
            batches = await consumer.getmany(*open_ends, timeout_ms=200)
            found += sum(map(len, batches.values()))
    return found


async def committed(settings: Settings, group: str, topic: str) -> int:
    """How many records of a topic a group has committed, in all partitions."""
    admin = AIOKafkaAdminClient(**settings.kafka())
    try:
        await admin.start()
        offsets = await admin.list_consumer_group_offsets(
            group, partitions=[TopicPartition(topic, number) for number in range(PARTITIONS)]
        )
    finally:
        await admin.close()
    return sum(max(0, offset.offset) for offset in offsets.values())
