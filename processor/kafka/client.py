"""Plain reading and writing of topics, for commands that people give."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    CoordinatorNotAvailableError,
    KafkaError,
    NotCoordinatorError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.structs import OffsetAndMetadata

from processor.config import Settings
from processor.core.partitions import partition_of, partitions_of
from processor.errors import BrokerUnavailable
from processor.kafka.failures import TRANSACTION_ERRORS, in_words, unavailable
from processor.kafka.fetched import readable
from processor.kafka.offset_protocol import UNSTABLE, OffsetFetch
from processor.kafka.protocol import topics_now
from processor.kafka.starting import start, stop

_ASK_AGAIN_S = 0.1
_LEADERLESS_S = 30.0  # an election takes less
_MISSING_S = 2.0  # a topic is missing that a broker does not know for so long

NoBroker = AssertionError
"""What aiokafka raises where it looks for a group's coordinator and knows no broker: one that has
just started, or was not heard for a while, names none."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to write; its key, where it has one, decides the partition."""

    topic: str
    key: bytes | None  # None only of a record that came so, and is sent back
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


class Writer:
    """Writes records to the partition their key belongs to."""

    def __init__(self, producer: Any, partitions: int) -> None:
        self._producer = producer
        self._partitions = partitions

    async def send(self, record: Outgoing) -> Any:
        """Hand a record over; await what it returns to know that it was written."""
        # aiokafka takes no record that has neither, though a broker does.
        value = b"" if record.key is None and record.value is None else record.value
        return await self._producer.send(
            record.topic,
            value,
            key=record.key,
            partition=partition_of(record.key or b"", self._partitions),
            headers=list(record.headers),
        )

    async def send_all(self, records: Iterable[Outgoing]) -> None:
        """Write records and wait until all are written.

        Raises:
            BrokerUnavailable: where the broker does not take one; the others may be written.
        """
        try:
            for fate in [await self.send(record) for record in records]:
                await fate
        except TRANSACTION_ERRORS as error:
            raise unavailable(error) from error


@asynccontextmanager
async def writer(settings: Settings, **options: Any) -> AsyncIterator[Writer]:
    """A producer of this installation.

    Raises:
        BrokerUnavailable: where the broker does not take a record.
    """
    usual = {"acks": "all", "linger_ms": 5, "max_request_size": 1 << 22}
    producer = AIOKafkaProducer(**(settings.kafka() | usual | options))
    try:
        await start(producer)
        yield Writer(producer, settings.partitions)
    except KafkaError as error:
        raise unavailable(error, settings.kafka_bootstrap) from error
    finally:
        await stop(producer)


@asynccontextmanager
async def reader(
    settings: Settings,
    topics: Sequence[str],
    *,
    at_end: bool,
    partitions: Iterable[int] | None = None,
    isolation: str = "read_committed",
    paused: bool = False,
) -> AsyncIterator[Any]:
    """A consumer of every partition of topics, in no group.

    Args:
        settings: of the installation.
        topics: full names.
        at_end: start behind what is there now, instead of at the beginning.
        partitions: which, all of them if None.
        isolation: ``read_uncommitted`` to see what is not committed, too.
        paused: fetch no record: for who only asks for offsets, and may ask for no more.

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


async def find_topic(client: Any, topic: str, partitions: Sequence[int]) -> None:
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
            else:  # it is there, or whoever reads it is told what is wrong
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
) -> AsyncGenerator[Any, None]:
    """Every record of topics up to their end now, each partition in order.

    The *uncommitted* end: what was committed a moment ago may still lie behind the last stable
    offset. A transaction that is open now is waited for.

    Whoever does not read to the end, or awaits between two records, takes it in ``aclosing``: else
    the consumer stays open until the garbage collector finds it.

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
            found = await consumer.offsets_for_times(dict.fromkeys(ends, since_ms))
            for tp, first in found.items():
                consumer.seek(tp, first.offset if first else ends[tp])
        while open_ends := {tp for tp, end in ends.items() if await consumer.position(tp) < end}:
            found = await consumer.getmany(*open_ends, timeout_ms=200)
            for tp, records in found.items():
                for record in records if with_unread else readable(records):
                    if record.offset < ends[tp]:
                        yield record


@asynccontextmanager
async def group_view(settings: Settings, group: str) -> AsyncIterator[Any]:
    """A consumer that asks what a group committed, without joining it.

    Raises:
        BrokerUnavailable: where the broker does not answer.
    """
    consumer = AIOKafkaConsumer(**settings.kafka(), group_id=group, enable_auto_commit=False)
    try:
        await start(consumer)
        yield consumer
    except (KafkaError, NoBroker) as error:
        raise unavailable(error, settings.kafka_bootstrap) from error
    finally:
        await stop(consumer)


async def committed_of(
    view: Any, sources: Iterable[TopicPartition] | None = None, *, stable: bool = False
) -> dict[TopicPartition, OffsetAndMetadata]:
    """What a group committed, with what was noted beside it; nothing of what it never did.

    aiokafka's own ways of asking do not look at the error of the answer as a whole: they take a
    coordinator that is still loading for one that knows no offset.

    Args:
        view: a consumer of the group.
        sources: which partitions; None: every one.
        stable: wait for transactions that are being completed: what they commit counts.

    Raises:
        aiokafka.errors.KafkaError: the broker refuses to say.
        BrokerUnavailable: no broker is known.
    """
    coordinator = view._coordinator
    asked: dict[str, list[int]] | None = None
    if sources is not None:
        asked = defaultdict(list)
        for tp in sources:
            asked[tp.topic].append(tp.partition)
    request = OffsetFetch(coordinator.group_id, asked, stable=stable)
    while True:
        try:
            await coordinator.ensure_coordinator_known()
            found = _offsets_in(await coordinator._send_req(request))
            if found is not None:
                return found
        except NoBroker as error:
            raise unavailable(error) from error
        except KafkaError as error:
            if not error.retriable:
                raise
            if isinstance(error, NotCoordinatorError | CoordinatorNotAvailableError):
                coordinator.coordinator_dead()
        await asyncio.sleep(_ASK_AGAIN_S)


def _offsets_in(answer: Any) -> dict[TopicPartition, OffsetAndMetadata] | None:
    """What was committed; None where one of the offsets is not settled yet."""
    found = {}
    codes = [answer.error_code]
    for topic, partitions, _ in answer.topics:
        for partition, offset, _, noted, code, _ in partitions:
            codes.append(code)
            if offset >= 0:
                found[TopicPartition(topic, partition)] = OffsetAndMetadata(offset, noted or "")
    if UNSTABLE in codes:
        return None
    if error_code := next(filter(None, codes), 0):
        raise for_code(error_code)
    return found


async def group_lag(settings: Settings, group: str, topics: Sequence[str]) -> int:
    """How many records of topics a group has not committed yet."""
    async with reader(settings, topics, at_end=False, paused=True) as consumer:
        sources = list(consumer.assignment())
        ends = await consumer.end_offsets(sources)
        begins = await consumer.beginning_offsets(sources)
    async with group_view(settings, group) as view:
        done = {tp: one.offset for tp, one in (await committed_of(view, sources)).items()}
    # The group may be ahead of the ends asked for a moment before.
    return sum(max(0, ends[tp] - done.get(tp, begins[tp])) for tp in sources)


class BulkWriter:
    """Writes many records fast: whole batches a partition, a bounded number in flight.

    Args:
        producer: started, of aiokafka.
        topic: full name.
        partitions: of the topic.
    """

    def __init__(self, producer: Any, topic: str, partitions: int) -> None:
        self._producer = producer
        self._topic = topic
        self._partitions = partitions
        self._fates: deque[Any] = deque()

    async def send(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        """Hand over keys and values; waits only for batches handed over long before."""
        places = partitions_of([key for key, _ in records], self._partitions)
        builders: dict[int, Any] = {}
        for (key, value), place in zip(records, places, strict=True):
            builder = builders.get(place)
            if builder is None:
                builder = builders[place] = self._producer.create_batch()
            if builder.append(key=key, value=value, timestamp=None) is None:
                await self._send(builder, place)
                builder = builders[place] = self._producer.create_batch()
                builder.append(key=key, value=value, timestamp=None)
        for place, builder in builders.items():
            await self._send(builder, place)
        while len(self._fates) > 4 * self._partitions:
            await self._fates.popleft()

    async def _send(self, builder: Any, place: int) -> None:
        builder.close()
        self._fates.append(await self._producer.send_batch(builder, self._topic, partition=place))

    async def flush(self) -> None:
        """Wait until everything handed over is written."""
        while self._fates:
            await self._fates.popleft()


@asynccontextmanager
async def bulk_writer(settings: Settings, topic: str) -> AsyncIterator[BulkWriter]:
    """A fast writer of one topic.

    Raises:
        BrokerUnavailable: where the broker does not take a batch.
    """
    producer = AIOKafkaProducer(
        **settings.kafka(),
        acks="all",
        linger_ms=0,
        max_batch_size=1 << 18,
        max_request_size=1 << 22,
    )
    try:
        await start(producer)
        out = BulkWriter(producer, topic, settings.partitions)
        yield out
        await out.flush()
    except KafkaError as error:
        raise unavailable(error, settings.kafka_bootstrap) from error
    finally:
        await stop(producer)
