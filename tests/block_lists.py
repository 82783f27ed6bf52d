"""A block list that may be trusted, and the durable truth it is compared with."""

from __future__ import annotations

import asyncio

from processor.core.blocks import NO_MARK, Mark
from processor.core.partitions import partition_of
from processor.errors import BrokerUnavailable
from processor.stores.memory import MemoryBlockList

PARTITIONS = 4
NUMBERS = [f"+1555000{number:04d}" for number in range(40)]
BLOCKED = NUMBERS[::3]


class Truth:
    """A durable truth that says whatever a test sets."""

    def __init__(self) -> None:
        self.topic_id = "topic"
        self.last = NO_MARK
        self.asked = 0
        self.down = False
        self.settles: asyncio.Event | None = None  # None: at once

    async def id(self) -> str:
        return self.topic_id

    async def settled_mark(self, partition: int) -> Mark:
        self.asked += 1
        if self.down:
            raise BrokerUnavailable("Kafka: down")
        if self.settles:
            await self.settles.wait()
        return self.last


async def rebuild(store: MemoryBlockList, place: int, ready: str = "topic") -> None:
    """Make a partition of a list whole: every third number is blocked."""
    epoch = (await store.claim(place, at_least=0)).epoch
    here = {one: b"[1]" for one in BLOCKED if partition_of(one.encode(), PARTITIONS) == place}
    await store.begin_rebuild(place, epoch)
    await store.add_rebuilt(place, epoch, here)
    mark = Mark(epoch, 2)
    await store.finish_rebuild(place, epoch, mark=mark, ready=ready, partitions=PARTITIONS)
