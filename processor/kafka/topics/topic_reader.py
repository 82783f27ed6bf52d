"""Reading chosen places of a topic, with one client for all its partitions."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, closing
from typing import TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.kafka.failures import unavailable
from processor.kafka.lanes.source_reader import Reading, SourceReader
from processor.kafka.offset_protocol import log_ends, log_starts
from processor.kafka.ports import Consumer
from processor.kafka.protocol import topic_id
from processor.kafka.reading import find_topic
from processor.kafka.starting import to_its_end
from processor.wire.records import Record

_T = TypeVar("_T")
_STILL_S = 30.0  # a transaction of ours is ended within 15 s, by its time-out at the latest
_ASK_S = 10.0
_FETCH_WAIT_MS = 50  # at the end there is nothing to wait for
_NEAR = 200  # records that are passed over rather than that Kafka is asked again


class TopicReader:
    """Asks where a topic's partitions begin and end, and reads what lies between two offsets.

    A partition is read by one at a time, who waits for the others. Every method raises
    ``BrokerUnavailable`` where no broker answers.

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
        """The topic's id: under the same name, another id is another topic."""
        return await self._ask(lambda client: topic_id(client, self._topic))

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
                try:
                    await reader.start()
                    await find_topic(reader.client, self._topic, ())
                except BaseException:
                    await reader.close()
                    raise
                self._reader = reader
            return self._reader

    async def _ask(self, question: Callable[[Consumer], Coroutine[object, object, _T]]) -> _T:
        async with self._connected() as reader:
            async with asyncio.timeout(_ASK_S):
                return await to_its_end(question(reader.client))

    async def start_of(self, partition: int) -> int:
        """The offset of the oldest record that is still there."""
        tp = TopicPartition(self._topic, partition)
        return (await self._ask(lambda client: log_starts(client, [tp])))[tp]

    async def end_of(self, partition: int, *, committed: bool) -> int:
        """The offset behind the last record, or behind the last whose transaction has ended."""
        tp = TopicPartition(self._topic, partition)
        return (await self._ask(lambda client: log_ends(client, [tp], committed=committed)))[tp]

    async def between(
        self, partition: int, start: int, end: int, *, at_once: int = 2_000
    ) -> AsyncGenerator[Sequence[Record], None]:
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
                            "on; a transaction is left open there, or this process has "
                            "stopped reading"
                        )
                    found = await reading.records([tp], wait_s=0.2, most=at_once)
                    if records := found.get(tp):
                        yield records

    async def at(self, partition: int, offsets: Sequence[int]) -> list[Record]:
        """The committed records at offsets, which grow, and what is passed over on the way.

        Missing records are left out.
        """
        tp = TopicPartition(self._topic, partition)
        found: list[Record] = []
        reading: Reading | None = None
        async with self._in_turn[partition], self._connected() as reader:
            try:
                for offset in offsets:
                    if reading is None or not 0 <= offset - reading.position(tp) <= _NEAR:
                        reading = reader.read({tp: offset})
                    while (position := reading.position(tp)) <= offset:
                        most = offset - position + 1
                        found += (await reading.records([tp], wait_s=0.2, most=most)).get(tp, ())
            finally:
                if reading is not None:
                    reading.close()
        return found
