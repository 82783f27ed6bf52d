"""Consumers outside the lanes: of whole topics, in no group."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.kafka.failures import in_words, unavailable
from processor.kafka.fetched import readable
from processor.kafka.ports import Consumer
from processor.kafka.protocol import topics_now
from processor.kafka.starting import start, stop
from processor.wire.records import Record

_ASK_AGAIN_S = 0.1
_LEADERLESS_S = 30.0  # an election takes less
_MISSING_S = 2.0  # a topic is missing that a broker does not know for so long


@asynccontextmanager
async def reader(
    settings: Settings,
    topics: Sequence[str],
    *,
    at_end: bool,
    partitions: Iterable[int] | None = None,
    isolation: str = "read_committed",
    paused: bool = False,
    fetch_bytes: int = 1 << 20,
) -> AsyncIterator[Consumer]:
    """A consumer of every partition of topics, in no group.

    Args:
        settings: of the installation.
        topics: full names.
        at_end: start behind what is there now, instead of at the beginning.
        partitions: which, all of them if None.
        isolation: ``read_uncommitted`` to see what is not committed, too.
        paused: fetch no record: for who only asks for offsets, and may ask for no more.
        fetch_bytes: of one fetch from one partition, at most.

    Raises:
        BrokerUnavailable: where the broker does not answer, or has no such topic or partition.
    """
    consumer = AIOKafkaConsumer(
        **settings.kafka(),
        enable_auto_commit=False,
        isolation_level=isolation,
        # Where a broker was away, aiokafka looks for a place by itself: it must skip nothing.
        auto_offset_reset="latest" if at_end else "earliest",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=fetch_bytes,
    )
    try:
        await start(consumer)
        wanted = range(settings.partitions) if partitions is None else list(partitions)
        for topic in topics:
            await find_topic(consumer._client, topic, wanted)
        sources = [TopicPartition(topic, partition) for topic in topics for partition in wanted]
        consumer.assign(sources)
        if paused:
            consumer.pause(*sources)
        if at_end:
            await consumer.seek_to_end(*sources)
            for source in sources:
                await consumer.position(source)
        else:
            await consumer.seek_to_beginning(*sources)
        yield consumer
    except KafkaError as error:
        raise unavailable(error, settings.kafka_bootstrap) from error
    finally:
        await stop(consumer)


async def find_topic(client: AIOKafkaClient, topic: str, partitions: Sequence[int]) -> None:
    """Fail where there is no such topic, or no leader: aiokafka would wait, and say nothing."""
    began = time.monotonic()
    with suppress(KafkaError):  # a broker that does not answer now is waited for as ever
        while True:
            found = (await topics_now(client, [topic]))[topic]
            lost = sorted(set(partitions) - found.led)
            if found.error is UnknownTopicOrPartitionError:
                patience_s, why = _MISSING_S, in_words(found.error(topic))
            elif lost and not found.error:
                where = f"{topic}[{lost[0]}]"
                patience_s = _LEADERLESS_S
                why = f"Kafka: {where} has no leader, or is not there; see which brokers are down"
            else:  # it is there, or reading it will say what is wrong
                return
            if time.monotonic() - began > patience_s:
                raise BrokerUnavailable(why)
            await asyncio.sleep(_ASK_AGAIN_S)


async def read_whole(
    settings: Settings,
    *topics: str,
    partitions: Iterable[int] | None = None,
    since_ms: int | None = None,
    with_unread: bool = False,
) -> AsyncGenerator[Record, None]:
    """Every record of topics up to their end now, each partition in order.

    The *uncommitted* end: records committed a moment ago may still lie beyond the last stable
    offset. A transaction that is open now is waited for.

    Use ``aclosing`` unless you read to the end without awaiting between records. Otherwise the
    consumer stays open until the garbage collector finds it.

    Args:
        settings: of the installation.
        topics: full names.
        partitions: which, all of them if None.
        since_ms: only records written from this time on, UTC.
        with_unread: yield an ``UnreadBatch``, too, instead of passing it over.
    """
    async with reader(
        settings,
        topics,
        at_end=True,
        partitions=partitions,
        isolation="read_uncommitted",
        paused=True,
    ) as consumer:
        ends = await consumer.end_offsets(list(consumer.assignment()))
    async with reader(settings, topics, at_end=False, partitions=partitions) as consumer:
        if since_ms is not None:
            began = await consumer.offsets_for_times(dict.fromkeys(ends, since_ms))
            for tp, first in began.items():
                consumer.seek(tp, first.offset if first else ends[tp])
        while open_ends := {tp for tp, end in ends.items() if await consumer.position(tp) < end}:
            found = await consumer.getmany(*open_ends, timeout_ms=200)
            for tp, records in found.items():
                for record in records if with_unread else readable(records):
                    if record.offset < ends[tp]:
                        yield record
