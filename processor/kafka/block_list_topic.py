"""The durable truth of the block list: reading `block-list.v2` back, one partition at a time."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager, closing, suppress
from typing import Any, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from processor.config import Settings
from processor.core.blocks import NO_MARK, Mark
from processor.errors import BrokerUnavailable
from processor.kafka.failures import unavailable
from processor.kafka.fetched import UnreadBatch
from processor.kafka.offset_protocol import log_ends, log_starts
from processor.kafka.protocol import topic_id
from processor.kafka.source_reader import SourceReader
from processor.kafka.starting import to_its_end
from processor.wire.blocks import MARK_HEADER

_T = TypeVar("_T")
_STILL_S = 30.0  # a transaction of ours is ended within 15 s, by its time-out at the latest
_ASK_S = 10.0
_FETCH_WAIT_MS = 50  # at the end there is nothing to wait for
_FIRST_LOOK = 64  # offsets back from the end for the last record; transaction markers are between


class BlockListTopic:
    """Reads the compacted topic; writing it is the match lane's, in its transactions.

    One client for all partitions, from the first question on: a lane that is taken asks several.

    Args:
        settings: of the installation.
        topic: full name.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._reader: SourceReader | None = None
        self._starting = asyncio.Lock()
        self._in_turn: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def id(self) -> str:
        """The topic's id: another one under the same name means that the list is lost."""
        return await self._ask(lambda client: topic_id(client, self._topic))

    async def id_and_last_mark(self, partition: int) -> tuple[str, Mark]:
        """What ``id`` says, and the mark of the last committed record; ``NO_MARK``: none."""
        id_ = await self.id()
        return id_, await self._last_mark(partition, await self._end(partition, committed=True))

    async def settled_mark(self, partition: int) -> Mark:
        """The mark of the last committed record, once all that is written now is settled.

        Waits for a transaction that is open: its end, its next owner's start, or its time-out.
        """
        # The last stable offset may lag behind the last commit for a moment.
        return await self._last_mark(partition, await self._end(partition, committed=False))

    async def entries(self, partition: int) -> AsyncGenerator[list[tuple[str, bytes | None]], None]:
        """Everything in a partition, oldest first, in batches of key and value.

        Up to the *uncommitted* end: only the partition's one owner has transactions on it.
        """
        end = await self._end(partition, committed=False)
        start = await self._start(partition)
        async with aclosing(self._records(partition, start, end)) as batches:
            async for records in batches:
                yield [
                    (key, record.value)
                    for record in records
                    if (key := _key_of(record)) is not None
                ]

    async def close(self) -> None:
        """Drop the connections."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.close()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[SourceReader]:
        try:
            yield await self._started()
        except (KafkaError, TimeoutError) as error:
            raise unavailable(error) from error

    async def _started(self) -> SourceReader:
        async with self._starting:
            if self._reader is None or self._reader.has_ended:
                await self.close()
                reader = SourceReader(self._settings, [self._topic], fetch_wait_ms=_FETCH_WAIT_MS)
                await reader.start()
                self._reader = reader
            return self._reader

    async def _ask(self, question: Callable[[Any], Coroutine[Any, Any, _T]]) -> _T:
        async with self._connected() as reader:
            async with asyncio.timeout(_ASK_S):
                return await to_its_end(question(reader.client))

    async def _start(self, partition: int) -> int:
        tp = TopicPartition(self._topic, partition)
        return (await self._ask(lambda client: log_starts(client, [tp])))[tp]

    async def _end(self, partition: int, *, committed: bool) -> int:
        tp = TopicPartition(self._topic, partition)
        return (await self._ask(lambda client: log_ends(client, [tp], committed=committed)))[tp]

    async def _last_mark(self, partition: int, end: int) -> Mark:
        first, back = await self._start(partition), _FIRST_LOOK
        while True:
            start = max(first, end - back)
            last = NO_MARK
            async for records in self._records(partition, start, end):
                last = max([last, *(mark_of(record.headers) for record in records)])
            if last is not NO_MARK or start == first:
                return last
            back *= 16

    async def _records(
        self, partition: int, start: int, end: int
    ) -> AsyncGenerator[Sequence[Any], None]:
        """The records up to an end that was seen; a transaction open there is waited for."""
        tp = TopicPartition(self._topic, partition)
        async with self._in_turn[partition], self._connected() as reader:
            with closing(reader.read({tp: start})) as reading:
                last, moved_at = -1, time.monotonic()
                while (position := reading.position(tp)) < end:
                    if position != last:
                        last, moved_at = position, time.monotonic()
                    elif time.monotonic() - moved_at > _STILL_S:
                        raise BrokerUnavailable(
                            f"Kafka: {tp.topic}[{partition}] cannot be read from offset {position} "
                            "on; a transaction that nobody ends is open there, or this process "
                            "reads no more"
                        )
                    found = await reading.records([tp], wait_s=0.2, most=2000)
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
