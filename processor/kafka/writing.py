"""Producers outside the lanes: of single records, and of many at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from processor.config import Settings
from processor.core.partitions import partition_of, partitions_of
from processor.kafka.failures import TRANSACTION_ERRORS, unavailable
from processor.kafka.ports import RecordBatch
from processor.kafka.starting import start, stop

_MAX_REQUEST_BYTES = 1 << 22
_BULK_BATCH_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to write; its key, where it has one, decides the partition."""

    topic: str
    key: bytes | None  # None only of a record that came so, and is sent back
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int | None = None  # of a topic that has a count of its own


class Writer:
    """Writes records to the partition their key belongs to."""

    def __init__(self, producer: AIOKafkaProducer, partitions: int) -> None:
        self._producer = producer
        self._partitions = partitions

    async def send(self, record: Outgoing) -> asyncio.Future[RecordMetadata]:
        """Hand a record over; await what it returns to know that it was written."""
        # aiokafka takes no record that has neither, though a broker does.
        value = b"" if record.key is None and record.value is None else record.value
        written: asyncio.Future[RecordMetadata] = await self._producer.send(
            record.topic,
            value,
            key=record.key,
            partition=self._place_of(record),
            headers=list(record.headers),
        )
        return written

    def _place_of(self, record: Outgoing) -> int:
        if record.partition is not None:
            return record.partition
        return partition_of(record.key or b"", self._partitions)

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
async def writer(settings: Settings, **options: object) -> AsyncIterator[Writer]:
    """A producer of this installation.

    Raises:
        BrokerUnavailable: where the broker does not take a record.
    """
    usual = {"acks": "all", "linger_ms": 5, "max_request_size": _MAX_REQUEST_BYTES}
    producer = AIOKafkaProducer(**(settings.kafka() | usual | options))
    try:
        await start(producer)
        yield Writer(producer, settings.partitions)
    except KafkaError as error:
        raise unavailable(error, settings.kafka_bootstrap) from error
    finally:
        await stop(producer)


class BulkWriter:
    """Writes many records fast: whole batches a partition, a bounded number in flight.

    Args:
        producer: started, of aiokafka.
        topic: full name.
        partitions: of the topic.
    """

    def __init__(self, producer: AIOKafkaProducer, topic: str, partitions: int) -> None:
        self._producer = producer
        self._topic = topic
        self._partitions = partitions
        self._fates: deque[Awaitable[object]] = deque()

    async def send(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        """Hand over keys and values; waits only for batches handed over long before."""
        places = partitions_of([key for key, _ in records], self._partitions)
        builders: dict[int, RecordBatch] = {}
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

    async def _send(self, builder: RecordBatch, place: int) -> None:
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
        max_batch_size=_BULK_BATCH_BYTES,
        max_request_size=_MAX_REQUEST_BYTES,
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
