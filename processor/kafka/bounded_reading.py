"""Reads one partition of a topic from an offset to where it ended when the reading began."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import TopicPartition

from processor.config import Settings
from processor.kafka.groups import committed_of, group_view
from processor.kafka.ports import Consumer
from processor.kafka.protocol import topic_ids
from processor.kafka.reading import reader
from processor.wire.records import Record


@dataclass(frozen=True, slots=True)
class Portion:
    """The limits of a reader's memory; a merge has a reader for each topic."""

    fetch_bytes: int  # of one fetch; a larger batch comes whole
    records: int  # that are drawn at once


LARGE = Portion(1 << 19, 250)
SMALL = Portion(1 << 17, 100)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a partition begins and ends now."""

    first: int  # the log's start: earlier records were deleted
    first_ms: int | None  # time of the first record that is left; None: there is none
    end: int  # open transactions count


async def bounds_of(settings: Settings, topics: Sequence[str], partition: int) -> dict[str, Bounds]:
    """Ask for the bounds of a partition of topics, by their full names.

    Raises:
        BrokerUnavailable: a broker does not answer.
    """
    tps = [TopicPartition(topic, partition) for topic in topics]
    async with _asking(settings, topics, partition) as consumer:
        firsts = await consumer.beginning_offsets(tps)
        times = await consumer.offsets_for_times(dict.fromkeys(tps, 0))
        ends = await consumer.end_offsets(tps)
    return {
        tp.topic: Bounds(firsts[tp], at.timestamp if (at := times[tp]) else None, ends[tp])
        for tp in tps
    }


async def offsets_since(
    settings: Settings, topics: Mapping[str, int], partition: int
) -> dict[str, int]:
    """Ask for the first offset from a time on, by the topics' full names; the end if there is none.

    Raises:
        BrokerUnavailable: a broker does not answer.
    """
    asked = {TopicPartition(topic, partition): at_ms for topic, at_ms in topics.items()}
    async with _asking(settings, list(topics), partition) as consumer:
        found = await consumer.offsets_for_times(asked)
        ends = await consumer.end_offsets(list(asked))
    return {tp.topic: at.offset if (at := found[tp]) else ends[tp] for tp in asked}


async def ids_of(settings: Settings, topics: Sequence[str]) -> dict[str, str]:
    """Ask for the topics' ids, by their full names.

    Raises:
        BrokerUnavailable: a broker does not answer, or knows no such topic.
    """
    async with _asking(settings, topics, 0) as consumer:
        return await topic_ids(consumer._client, topics)


async def committed_at(
    settings: Settings, group: str, topics: Sequence[str], partitions: Sequence[int]
) -> dict[tuple[str, int], int]:
    """Ask for a group's offsets, all as of one moment, by topic and partition; 0 where none is.

    Raises:
        BrokerUnavailable: a broker does not answer.
    """
    tps = [TopicPartition(topic, partition) for topic in topics for partition in partitions]
    async with group_view(settings, group) as view:
        found = await committed_of(view, tps, stable=True)
    return {(tp.topic, tp.partition): found[tp].offset if tp in found else 0 for tp in tps}


@asynccontextmanager
async def _asking(
    settings: Settings, topics: Sequence[str], partition: int
) -> AsyncIterator[Consumer]:
    async with reader(
        settings,
        topics,
        at_end=False,
        partitions=[partition],
        isolation="read_uncommitted",
        paused=True,
    ) as consumer:
        yield consumer


class BoundedReader:
    """Committed records of a partition, up to an end; transactions that are open are waited for.

    Args:
        consumer: of the partition; None: there is nothing to read.
        tp: the partition.
        end: behind the last offset.
        most: records that are drawn at once.
    """

    def __init__(
        self, consumer: Consumer | None, tp: TopicPartition, end: int, most: int = SMALL.records
    ) -> None:
        self._consumer, self._tp, self._end, self._most = consumer, tp, end, most

    async def fill(self) -> Sequence[Record]:
        """Return the next records, an ``UnreadBatch`` among them; none at the end."""
        if self._consumer is None:
            return ()
        while await self._consumer.position(self._tp) < self._end:
            found = await self._consumer.getmany(self._tp, timeout_ms=200, max_records=self._most)
            records = [one for one in found.get(self._tp, ()) if one.offset < self._end]
            if records:
                return records
        return ()


@asynccontextmanager
async def bounded_reader(
    settings: Settings,
    topic: str,
    partition: int,
    *,
    begin: int,
    end: int,
    portion: Portion = SMALL,
) -> AsyncIterator[BoundedReader]:
    """Open a reader of a partition.

    Args:
        settings: of the installation.
        topic: full name.
        partition: of the topic.
        begin: first offset.
        end: behind the last offset.
        portion: limits of its memory; ``LARGE`` for topics with many records.

    Raises:
        BrokerUnavailable: a broker does not answer, or knows no such topic.
    """
    tp = TopicPartition(topic, partition)
    if begin >= end:
        yield BoundedReader(None, tp, end)
        return
    async with reader(
        settings,
        [topic],
        at_end=False,
        partitions=[partition],
        fetch_bytes=portion.fetch_bytes,
    ) as consumer:
        consumer.seek(tp, begin)
        yield BoundedReader(consumer, tp, end, portion.records)
