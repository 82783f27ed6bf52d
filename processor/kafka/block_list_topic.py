"""The durable truth of the block list: reading `block-list.v2` back, one partition at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from processor.config import Settings
from processor.core.blocks import NO_MARK, Mark
from processor.errors import BrokerUnavailable
from processor.kafka.failures import unavailable
from processor.kafka.fetched import UnreadBatch
from processor.kafka.protocol import topic_id
from processor.kafka.starting import start, stop, to_its_end
from processor.wire.blocks import MARK_HEADER

_STILL_S = 45.0  # a transaction of ours is ended within 30 s, by its time-out at the latest
_FIRST_LOOK = 64  # offsets back from the end for the last record; transaction markers are between


class BlockListTopic:
    """Reads the compacted topic; writing it is the match lane's, in its transactions."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings = settings
        self._topic = topic

    async def id(self) -> str:
        """The topic's id: another one under the same name means that the list is lost."""
        return await to_its_end(self._id())

    async def id_and_last_mark(self, partition: int) -> tuple[str, Mark]:
        """What ``id`` says, and the mark of the last committed record; ``NO_MARK``: none."""
        return await to_its_end(self._id_and_last_mark(partition))

    async def settled_mark(self, partition: int) -> Mark:
        """The mark of the last committed record, once all that is written now is settled.

        Waits for a transaction that is open: its end, its next owner's start, or its time-out.
        """
        end = await to_its_end(self._uncommitted_end(partition))
        async with self._reader(partition, "read_committed") as (reader, tp):
            return await _last_mark(reader, tp, end)

    async def _uncommitted_end(self, partition: int) -> int:
        # The last stable offset may lag behind the last commit for a moment.
        async with self._reader(partition, "read_uncommitted") as (reader, tp):
            return int((await reader.end_offsets([tp]))[tp])

    async def _id(self) -> str:
        async with self._reader(0, "read_committed") as (reader, _):
            return await topic_id(reader._client, self._topic)

    async def _id_and_last_mark(self, partition: int) -> tuple[str, Mark]:
        async with self._reader(partition, "read_committed") as (reader, tp):
            end = (await reader.end_offsets([tp]))[tp]
            return await topic_id(reader._client, self._topic), await _last_mark(reader, tp, end)

    async def entries(self, partition: int) -> AsyncIterator[list[tuple[str, bytes | None]]]:
        """Everything in a partition, oldest first, in batches of key and value.

        Up to the *uncommitted* end: only the partition's one owner has transactions on it.
        """
        end = await self._uncommitted_end(partition)
        async with self._reader(partition, "read_committed") as (reader, tp):
            await reader.seek_to_beginning(tp)
            async for records in _batches(reader, tp, end):
                yield [
                    (key, record.value)
                    for record in records
                    if (key := _key_of(record)) is not None
                ]

    @asynccontextmanager
    async def _reader(
        self, partition: int, isolation: str
    ) -> AsyncIterator[tuple[Any, TopicPartition]]:
        reader = AIOKafkaConsumer(
            **self._settings.kafka(),
            enable_auto_commit=False,
            isolation_level=isolation,
            max_partition_fetch_bytes=self._settings.fetch_bytes,
            # Where a broker was away, aiokafka looks for a place by itself: it must skip nothing.
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,  # at the end there is nothing to wait for
        )
        tp = TopicPartition(self._topic, partition)
        try:
            await start(reader)
            reader.assign([tp])
            yield reader, tp
        except (KafkaError, TimeoutError) as error:
            raise unavailable(error) from error
        finally:
            await stop(reader)


async def _last_mark(reader: Any, tp: TopicPartition, end: int) -> Mark:
    first = (await to_its_end(reader.beginning_offsets([tp])))[tp]
    back = _FIRST_LOOK
    while True:
        start = max(first, end - back)
        reader.seek(tp, start)
        last = NO_MARK
        async for records in _batches(reader, tp, end):
            last = max([last, *(mark_of(record.headers) for record in records)])
        if last is not NO_MARK or start == first:
            return last
        back *= 16


async def _batches(reader: Any, tp: TopicPartition, end: int) -> AsyncIterator[Sequence[Any]]:
    """The records up to an end that was seen; a transaction that is open there is waited for."""
    last, moved_at = -1, time.monotonic()
    while True:
        async with asyncio.timeout(_STILL_S):
            position = await reader.position(tp)
        if position >= end:
            return
        if position != last:
            last, moved_at = position, time.monotonic()
        elif time.monotonic() - moved_at > _STILL_S:
            raise BrokerUnavailable(
                f"Kafka: {tp.topic}[{tp.partition}] cannot be read from offset {position} on; a "
                "transaction that nobody ends is open there, or this process reads no more"
            )
        found = await reader.getmany(tp, timeout_ms=200, max_records=2000)
        if records := _all_read(found.get(tp, ())):
            yield records


def _all_read(records: Sequence[Any]) -> Sequence[Any]:
    """Records, unless some could not be read: a list without them would let sends pass."""
    for one in records:
        if isinstance(one, UnreadBatch):
            raise BrokerUnavailable(
                f"{one.topic}[{one.partition}]@{one.first_offset}-{one.offset}: {one.why}"
            )
    return records


def _key_of(record: Any) -> str | None:
    """The entry key of a record; None for a foreign record."""
    try:
        key = str((record.key or b"").decode())
    except UnicodeDecodeError:
        return None
    return key if "/" in key else None


def mark_of(headers: Any) -> Mark:
    """The mark a record's headers carry, ``NO_MARK`` where they carry none."""
    for key, value in headers:
        if key == MARK_HEADER:
            with suppress(ValueError):
                return Mark.parse((value or b"").decode())
    return NO_MARK
