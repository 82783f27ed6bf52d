"""Keeps the index of a topic: its followers add where the records are.

Any number of processes may: each adds only if the index still ends where it last saw it end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from aiokafka import TopicPartition

from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.kafka.fetched import readable
from processor.kafka.ports import Consumer
from processor.kafka.protocol import topic_id
from processor.kafka.reading import reader
from processor.kafka.topics.follower import Follower
from processor.wire.record_index import About, Extent, Known
from processor.wire.records import Record

_AT_ONCE = 250  # records that are added at once: some 2 ms of this process,
_PAUSE_S = 0.004  # and others are served twice as long
_FORGETS_S = 3_600.0  # between two looks at what the topic has let go of
_LOST_S = 5.0  # between two looks whether Redis still has the index
_SURE_S = 5.0  # after an election the reported end may be too low for a moment


_Entry = TypeVar("_Entry")
_Added = TypeVar("_Added", contravariant=True)


class Index(Protocol[_Added]):
    """Keeps something of each record, and how far; every method raises ``StoreUnavailable``.

    See ``stores.record_index`` and ``stores.sums``.
    """

    async def extent(self, partition: int) -> Extent:
        """How far the index of a partition was made."""
        ...

    async def begin(self, partition: int, seen: Extent, anew: Extent) -> Extent:
        """Restart a partition's index, unless another process did; how far it is made now."""
        ...

    async def add(
        self,
        partition: int,
        seen: Extent,
        next_: int,
        *,
        first: int,
        entries: Iterable[tuple[_Added, int]],
    ) -> Extent:
        """Add the next entries, unless another process did; how far it is made now."""
        ...


class RecordIndex(Index[About], Protocol):
    """Where the records about a subject are; see ``stores.record_index``."""

    async def find(
        self, partition: int, subject: str, part: str | None, *, below: int | None, most: int
    ) -> Known:
        """The newest records about a subject."""
        ...


class Indexing(Generic[_Entry]):
    """Follows a topic for its index.

    Args:
        settings: of the installation.
        topic: full name.
        partitions: of the topic.
        about: makes a record's entry, such as what it is about; None where it is passed over.
        index: of the topic.
        follower: that logs what goes wrong.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        *,
        partitions: int,
        about: Callable[[Record], _Entry | None],
        index: Index[_Entry],
        follower: Follower,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._partitions = partitions
        self._about = about
        self._index = index
        self._follower = follower
        self._extents: dict[int, Extent] = {}  # as seen last
        self._first: dict[int, int] = {}  # the oldest offset that a partition has
        self._ends: dict[int, int] = {}  # as it began to follow

    @property
    def extents(self) -> Mapping[int, Extent]:
        """How far the index of each partition reached as this process saw it last."""
        return self._extents

    @property
    def loaded(self) -> bool:
        """Whether the index has everything that was there when this process began to follow."""
        if not self._ends:
            return False
        nothing = Extent("", 0)
        return all(self._extents.get(one, nothing).next >= end for one, end in self._ends.items())

    async def follow(self) -> None:
        """Keep the index, for ever."""
        await self._follower.keep(self._follow)

    async def _follow(self) -> None:
        self._ends = {}
        async with reader(
            self._settings, [self._topic], at_end=False, partitions=range(self._partitions)
        ) as consumer:
            id_ = await topic_id(consumer._client, self._topic)
            sources = {tp.partition: tp for tp in consumer.assignment()}
            for partition, tp in sources.items():
                extent = self._extents[partition] = await self._begun(consumer, tp, id_)
                consumer.seek(tp, extent.next)
            ends = await consumer.end_offsets(list(sources.values()))
            self._ends = {tp.partition: end for tp, end in ends.items()}
            await self._follower.watch(consumer, self._add_from(consumer))

    async def _begun(self, consumer: Consumer, tp: TopicPartition, id_: str) -> Extent:
        """Where to go on: at the end of the index, or where the topic begins."""
        first = self._first[tp.partition] = (await consumer.beginning_offsets([tp]))[tp]
        seen = await self._index.extent(tp.partition)
        if seen.topic_id != id_ or await _is_beyond(consumer, tp, seen.next):
            return await self._index.begin(tp.partition, seen, Extent(id_, first))
        if seen.next < first:  # the topic let go of records that no process had added
            return await self._index.add(tp.partition, seen, first, first=first, entries=())
        return seen

    async def _add_from(self, consumer: Consumer) -> None:
        asked_at = looked_at = time.monotonic()
        while True:
            batches = await consumer.getmany(timeout_ms=500, max_records=_AT_ONCE)
            for tp, records in batches.items():
                await self._add(consumer, tp, readable(records), records[-1].offset + 1)
            if not batches:  # ends of transactions are not records
                for tp in consumer.assignment():
                    await self._add(consumer, tp, (), await consumer.position(tp))
            now = time.monotonic()
            if now - looked_at > _LOST_S:
                looked_at = now
                for tp in consumer.assignment():
                    self._see(consumer, tp, await self._index.extent(tp.partition))
            if now - asked_at > _FORGETS_S:
                asked_at = now
                for tp, first in (await consumer.beginning_offsets(consumer.assignment())).items():
                    self._first[tp.partition] = first
            await asyncio.sleep(_PAUSE_S)

    async def _add(
        self, consumer: Consumer, tp: TopicPartition, records: Sequence[Record], next_: int
    ) -> None:
        seen = self._extents[tp.partition]
        if next_ == seen.next:
            return
        if next_ < seen.next:
            raise BrokerUnavailable(f"{self._topic}: it ends before what was read of it")
        entries = [(about, one.offset) for one in records if (about := self._about(one))]
        now = await self._index.add(
            tp.partition, seen, next_, first=self._first[tp.partition], entries=entries
        )
        self._extents[tp.partition] = seen._replace(next=next_)  # where no other process added
        self._see(consumer, tp, now)

    def _see(self, consumer: Consumer, tp: TopicPartition, now: Extent) -> None:
        """Go on where the index ends: another process added to it, or Redis lost some."""
        seen = self._extents[tp.partition]
        if now.topic_id != seen.topic_id:
            raise BrokerUnavailable(f"{self._topic}: its index is gone, or another topic's now")
        if now.next != seen.next:
            consumer.seek(tp, now.next)
        self._extents[tp.partition] = now


async def _is_beyond(consumer: Consumer, tp: TopicPartition, offset: int) -> bool:
    """Whether an offset is behind the end, and was not so for a moment only."""
    for _ in range(2):
        if offset <= (await consumer.end_offsets([tp]))[tp]:
            return False
        await asyncio.sleep(_SURE_S)
    return True
