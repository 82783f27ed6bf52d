"""Several partitions read as one stream, in an order of their records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

from aiokafka import TopicPartition

from processor.errors import ConfigError
from processor.kafka.fetched import UnreadBatch
from processor.kafka.ports import Consumer
from processor.wire.records import Record

_FETCHED = 2_000

Order = Callable[[Any], Any]  # of a record; less comes first
Offsets = dict[TopicPartition, int]


class Merged:
    """Partitions read as one stream, the least of their next records first."""

    def __init__(self, consumer: Consumer, first: Offsets, ends: Offsets, order: Order) -> None:
        self._consumer = consumer
        self._sources = list(first)
        self._ends = ends
        self._order = order
        self._next = dict(first)  # the first not taken yet
        self._queues: list[deque[Record]] = [deque() for _ in first]
        self._heads: list[tuple[Record, int]] | None = None  # of queues that have any
        for tp, offset in first.items():
            consumer.seek(tp, offset)

    def done(self) -> Offsets:
        """Up to where everything was taken."""
        return {
            tp: self._next[tp] if queue else max(self._next[tp], self._ends[tp])
            for tp, queue in zip(self._sources, self._queues, strict=True)
        }

    async def take(self, most: int) -> list[Record]:
        """The next records, none at the end.

        Raises:
            ConfigError: some cannot be read.
        """
        if self._heads is None:
            self._heads = [
                (self._order(queue[0]), index)
                for index, queue in enumerate(self._queues)
                if await self._fill(index)
            ]
            heapify(self._heads)
        taken: list[Record] = []
        while self._heads and len(taken) < most:
            _, index = heappop(self._heads)
            record = self._queues[index].popleft()
            self._next[self._sources[index]] = record.offset + 1
            taken.append(record)
            if await self._fill(index):
                heappush(self._heads, (self._order(self._queues[index][0]), index))
        return taken

    async def _fill(self, index: int) -> bool:
        """Whether a partition has a next record, which is then there."""
        queue, tp = self._queues[index], self._sources[index]
        while not queue and await self._consumer.position(tp) < self._ends[tp]:
            found = await self._consumer.getmany(tp, timeout_ms=200, max_records=_FETCHED)
            for one in found.get(tp, ()):
                if isinstance(one, UnreadBatch):
                    raise ConfigError(
                        [
                            f"{one.topic}[{one.partition}]@{one.first_offset}-{one.offset}: "
                            f"{one.why}; start the workers of its topics, which put it aside"
                        ]
                    )
                if one.offset < self._ends[tp]:
                    queue.append(one)
        return bool(queue)
