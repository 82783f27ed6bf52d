"""The same job in plain Faust: one agent, message by message, with the settings that suit it best.

The decisions are the project's own code, so that only the transport of records differs. It does
less than the match lane: no undo record, no epoch, no block-list topic, no transaction.
"""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import faust

from processor.config import Settings
from processor.core.blocks import Mark
from processor.core.events import (
    BlockChange,
    OptOutNotification,
    ReplySend,
    SuspectedOptOut,
    WebhookDelivery,
)
from processor.core.fold import Hit, fold, key_of
from processor.core.messages import subscriber_of
from processor.core.services import Directory
from processor.stages.items import hit_of
from processor.stores.redis_client import RedisClient
from processor.wire import blocks as wire_blocks
from processor.wire import events, inbound_messages
from processor.wire.topics import Topics
from tests.bench.jobs import Measured

_SEEN_MS = 86_400_000


def fast_build() -> bool:
    """Whether Faust's inner loops are compiled."""
    try:
        import faust._cython.streams  # noqa: F401
    except ImportError:
        return False
    return True


def _app(settings: Settings) -> faust.App:
    return faust.App(
        f"{settings.topic_prefix}faust",
        broker=[f"kafka://{host}" for host in settings.kafka_bootstrap.split(",")],
        store="memory://",
        processing_guarantee="at_least_once",
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=10.0,
        broker_heartbeat_interval=3.0,
        broker_commit_interval=0.5,
        producer_acks=-1,
        producer_linger=0.005,
        producer_max_batch_size=262_144,
        web_enabled=False,
        worker_redirect_stdouts=False,
        datadir=Path(tempfile.gettempdir()) / f"{settings.topic_prefix}faust",
    )


async def run(settings: Settings, source: str, count: int) -> Measured:
    """Read this many messages; measure from the first message to the last message's output."""
    app = _app(settings)
    topics = Topics.under(settings.topic_prefix)
    matcher = _Matcher(app, settings, topics)
    done = asyncio.Event()
    began, cpu_began, read = 0.0, 0.0, 0

    async def match(stream: AsyncIterator[bytes]) -> None:
        nonlocal began, cpu_began, read
        async for value in stream:
            if not read:
                began, cpu_began = time.monotonic(), time.process_time()
            read += 1
            await matcher.take(value)
            if read == count:
                done.set()

    app.agent(_raw(app, source), name="match")(match)
    app.finalize()
    await app.start()
    await done.wait()
    await app.producer.flush()
    ended, cpu_ended = time.monotonic(), time.process_time()
    await app.stop()
    await matcher.close()
    return Measured(
        records=count,
        seconds=ended - began,
        cpu_seconds=cpu_ended - cpu_began,
        batches=count,
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def _raw(app: faust.App, name: str) -> Any:
    return app.topic(
        name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )


class _Matcher:
    """Decides on one message, stores the block in Redis, sends the events."""

    def __init__(self, app: faust.App, settings: Settings, topics: Topics) -> None:
        self._replies = _raw(app, topics.reply_sends)
        self._notifications = _raw(app, topics.opt_out_notifications)
        self._changes = _raw(app, topics.block_changes)
        self._scope = settings.block_scope
        self._prefix = settings.topic_prefix
        self._client = RedisClient(settings.redis_url, timeout_s=settings.redis_timeout_s)
        self._directory = Directory()
        self._count = 0

    async def take(self, value: bytes) -> None:
        hit = hit_of(inbound_messages.read(value), self._directory)
        if hit is not None:
            await self._decide(hit)

    async def _decide(self, hit: Hit) -> None:
        redis, key = self._client.redis, key_of(hit)
        seen = f"{self._prefix}seen:{hit.message.message_sid}"
        async with redis.pipeline(transaction=False) as trip:
            trip.hget(f"{self._prefix}recipients", key).set(seen, "", nx=True, px=_SEEN_MS)
            stored, first_time = await trip.execute()
        if not first_time:
            return
        self._count += 1
        folded = fold(
            [hit],
            {key: wire_blocks.unpack(stored)},
            frozenset(),
            scope=self._scope,
            mark=Mark(1, self._count),
        )
        for one, blocks in folded.changed.items():
            if blocks:
                await redis.hset(f"{self._prefix}recipients", one, wire_blocks.pack(blocks))
            else:
                await redis.hdel(f"{self._prefix}recipients", one)
        number = subscriber_of(key).encode()
        for event in folded.events:
            match event:
                case BlockChange():
                    await self._changes.send(key=number, value=events.write_block_change(event))
                case ReplySend():
                    await self._replies.send(key=number, value=events.write_reply(event))
                case OptOutNotification():
                    value = events.write_notification(event)
                    await self._notifications.send(key=number, value=value)
                case SuspectedOptOut() | WebhookDelivery():
                    raise AssertionError("the benchmark has neither own words nor webhooks")

    async def close(self) -> None:
        await self._client.close()
