"""Read a lane's next records while it commits its last batch.

No fetch asks for a partition whose fetched records wait to be read. A lane that reads only between
two batches gets the records that were there when its last batch began.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from aiokafka import TopicPartition

from processor.kafka.lanes.source_reader import Reading
from processor.wire.records import Record

_POLL_S = 0.5


class ReadAhead:
    """The records that one lane has not processed yet.

    Args:
        reading: of its partitions.
        sources: the partitions.
        most: records that wait, at most.
    """

    def __init__(self, reading: Reading, sources: Sequence[TopicPartition], most: int) -> None:
        self._reading = reading
        self._sources = list(sources)
        self._most = most
        self._found: dict[TopicPartition, Sequence[Record]] = {}
        self._at = self._found_to = self._places()
        self._has_news, self._has_room = asyncio.Event(), asyncio.Event()
        self._has_room.set()
        self._pump = asyncio.get_running_loop().create_task(self._read())

    async def records(self, *, wait_s: float, most: int) -> dict[TopicPartition, Sequence[Record]]:
        """All records that wait; waits for some if there are none.

        Args:
            wait_s: how long to wait for the first.
            most: records that may wait for the next call.

        Raises:
            aiokafka.errors.KafkaError: the partitions cannot be read.
        """
        self._most = most
        if not self._found and not self._pump.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._has_news.wait()
        if not self._found and self._pump.done():
            self._pump.result()
        found, self._found = self._found, {}
        self._at = self._found_to
        self._has_news.clear()
        self._has_room.set()
        return found

    def position(self, tp: TopicPartition) -> int:
        """The offset after the last record that was returned."""
        return self._at[tp][0]

    def leader_epoch(self, tp: TopicPartition) -> int | None:
        """See ``Reading``."""
        return self._at[tp][1]

    def close(self) -> None:
        """Stop reading."""
        if not self._pump.cancel() and not self._pump.cancelled():
            self._pump.exception()  # seen, or asyncio logs it
        self._reading.close()

    def _places(self) -> Mapping[TopicPartition, tuple[int, int | None]]:
        reading = self._reading
        return {tp: (reading.position(tp), reading.leader_epoch(tp)) for tp in self._sources}

    async def _read(self) -> None:
        try:
            while True:
                room = self._most - sum(map(len, self._found.values()))
                if room <= 0:
                    self._has_room.clear()
                    await self._has_room.wait()
                    continue
                found = await self._reading.records(self._sources, wait_s=_POLL_S, most=room)
                # A reading that fails may have moved on, past records that it did not return.
                self._found_to = self._places()
                for tp, records in found.items():
                    before = self._found.get(tp)
                    self._found[tp] = [*before, *records] if before else records
                if found:
                    self._has_news.set()
        finally:
            self._has_news.set()
