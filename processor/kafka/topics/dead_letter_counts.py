"""How many dead letters each account had in the last days, from the newest letters."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping

from aiokafka import TopicPartition

from processor import clocks
from processor.config import Settings
from processor.kafka.fetched import readable
from processor.kafka.ports import Consumer
from processor.kafka.reading import reader
from processor.kafka.topics.follower import Follower
from processor.metrics import Metrics
from processor.wire.dead_letters import account_of
from processor.wire.records import Record

DAYS = 7
MOST = 20_000  # letters that are counted, the newest
_WINDOW_MS = DAYS * 86_400_000
_AT_ONCE = 100  # letters that are read at once,
_PAUSE_S = 0.01  # and others are served meanwhile


class DeadLetterCounts:
    """Follows the dead letters while it runs.

    Args:
        settings: of the installation.
        topic: full name.
        metrics: of the process.
        clock_ms: since 1970.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        metrics: Metrics,
        clock_ms: Callable[[], int] = clocks.now_ms,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._clock_ms = clock_ms
        self._next: dict[TopicPartition, int] = {}
        self._letters: deque[tuple[int, str]] = deque()  # time and account, about in their order
        self._counts: Counter[str] = Counter()
        self._follower = Follower("letters", metrics)
        self.loaded = False  # whether the letters that were there at the start are counted

    def of(self, account_sid: str | None) -> int:
        """The letters of an account, or all if None; ``MOST`` of all accounts at most."""
        self._forget()
        return self._counts.total() if account_sid is None else self._counts[account_sid]

    async def follow(self) -> None:
        """Count for ever."""
        await self._follower.keep(self._read)

    async def _read(self) -> None:
        async with reader(self._settings, [self._topic], at_end=False) as consumer:
            partitions = sorted(consumer.assignment())
            ends = await consumer.end_offsets(partitions)
            since_ms = max(0, self._clock_ms() - _WINDOW_MS)
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
            for tp in partitions:
                first = found[tp].offset if found[tp] else ends[tp]
                first = max(first, ends[tp] - MOST // len(partitions))
                self._next[tp] = max(self._next.get(tp, 0), first)
                consumer.seek(tp, self._next[tp])
            await self._follower.watch(consumer, self._read_from(consumer, ends))

    async def _read_from(self, consumer: Consumer, ends: Mapping[TopicPartition, int]) -> None:
        while True:
            if all([await consumer.position(tp) >= end for tp, end in ends.items()]):
                self.loaded = True
            batches = await consumer.getmany(timeout_ms=500, max_records=_AT_ONCE)
            for tp, records in batches.items():
                self._add(readable(records))
                self._next[tp] = records[-1].offset + 1
            await asyncio.sleep(_PAUSE_S)

    def _add(self, records: Iterable[Record]) -> None:
        for record in records:
            account = account_of(record.value)
            self._letters.append((record.timestamp, account))
            self._counts[account] += 1
        self._forget()

    def _forget(self) -> None:
        since_ms = self._clock_ms() - _WINDOW_MS
        while self._letters and (len(self._letters) > MOST or self._letters[0][0] < since_ms):
            _, account = self._letters.popleft()
            self._counts[account] -= 1
