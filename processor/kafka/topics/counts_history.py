"""The last seven days of `opt-out-counts`, folded by the hour in this process.

Not the tables of the role rates: those are shared out among workers with unknown addresses, and
hold a day. The topic is small (a record a second for each series that had a match) and has thirty
days.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from aiokafka import TopicPartition

from processor import clocks
from processor.config import Settings
from processor.kafka.fetched import readable
from processor.kafka.ports import Consumer
from processor.kafka.reading import reader
from processor.kafka.topics.follower import Follower
from processor.metrics import Metrics
from processor.statistics.hourly import KEPT_HOURS, Hourly
from processor.wire.opt_out_counts import read
from processor.wire.records import Record

_AT_ONCE = 250  # records that are folded at once: some 2 ms of this process,
_PAUSE_S = 0.004  # and others are served twice as long
_WINDOW_MS = KEPT_HOURS * 3_600_000


class CountsHistory:
    """Follows the counts while it runs; keeps the known counts over a broken connection.

    Args:
        settings: of the installation.
        topic: full name.
        clock_ms: since 1970.
        metrics: of the process.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        clock_ms: Callable[[], int] = clocks.now_ms,
        *,
        metrics: Metrics | None = None,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self.clock_ms = clock_ms
        self._next: dict[TopicPartition, int] = {}  # partition to the offset that is folded next
        self.hourly = Hourly()
        self.loaded = False  # whether everything that was there at the start is folded
        self._follower = Follower("counts", metrics)

    async def follow(self) -> None:
        """Read for ever."""
        await self._follower.keep(self._read)

    async def _read(self) -> None:
        async with reader(self._settings, [self._topic], at_end=False) as consumer:
            partitions = sorted(consumer.assignment())
            ends = await consumer.end_offsets(partitions)
            since_ms = max(0, self.clock_ms() - _WINDOW_MS)
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
            for tp in partitions:
                first = found[tp].offset if found[tp] else ends[tp]
                self._next[tp] = self._next.get(tp, first)
                consumer.seek(tp, self._next[tp])
            await self._follower.watch(consumer, self._read_from(consumer, ends))

    async def _read_from(self, consumer: Consumer, ends: Mapping[TopicPartition, int]) -> None:
        while True:
            if all(self._next[tp] >= end for tp, end in ends.items()):
                self.loaded = True
            batches = await consumer.getmany(timeout_ms=500, max_records=_AT_ONCE)
            for tp, records in batches.items():
                self._fold(records)
                self._next[tp] = records[-1].offset + 1
            await asyncio.sleep(_PAUSE_S)

    def _fold(self, records: Iterable[Record]) -> None:
        now_ms = self.clock_ms()
        for record in readable(records):
            try:
                self.hourly.add(read(record.value or b""), now_ms)
            except MemoryError:
                raise
            except Exception as error:
                self._follower.refuse(record, error)
