"""The durable truth of the block list: reading `block-list.v2` back, one partition at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress

from processor.core.blocks import NO_MARK, Mark
from processor.errors import BrokerUnavailable
from processor.kafka.fetched import UnreadBatch
from processor.kafka.topics.topic_reader import TopicReader
from processor.wire.blocks import MARK_HEADER
from processor.wire.records import Headers, Record

_FIRST_LOOK = 64  # offsets back from the end for the last record; transaction markers are between


class BlockListTopic(TopicReader):
    """Reads the compacted topic; writing it is the match lane's, in its transactions.

    One client for all partitions, from the first question on: a lane that is taken asks several.

    Args:
        settings: of the installation.
        topic: full name.
    """

    async def id_and_last_mark(self, partition: int) -> tuple[str, Mark]:
        """The topic's id, and the mark of the last committed record; ``NO_MARK``: none."""
        id_ = await self.id()
        return id_, await self._last_mark(partition, await self.end_of(partition, committed=True))

    async def settled_mark(self, partition: int) -> Mark:
        """The mark of the last committed record, once all that is written now is settled.

        Waits for a transaction that is open: its end, its next owner's start, or its time-out.
        """
        # The last stable offset may lag behind the last commit for a moment.
        return await self._last_mark(partition, await self.end_of(partition, committed=False))

    async def entries(self, partition: int) -> AsyncGenerator[list[tuple[str, bytes | None]], None]:
        """Everything in a partition, oldest first, in batches of key and value.

        Up to the *uncommitted* end: only the partition's one owner has transactions on it.
        """
        end = await self.end_of(partition, committed=False)
        start = await self.start_of(partition)
        async with aclosing(self.between(partition, start, end)) as batches:
            async for records in batches:
                yield [
                    (key, record.value)
                    for record in _all_read(records)
                    if (key := _key_of(record)) is not None
                ]

    async def _last_mark(self, partition: int, end: int) -> Mark:
        first, back = await self.start_of(partition), _FIRST_LOOK
        while True:
            start = max(first, end - back)
            last = NO_MARK
            async for records in self.between(partition, start, end):
                last = max([last, *(mark_of(record.headers) for record in _all_read(records))])
            if last is not NO_MARK or start == first:
                return last
            back *= 16


def _all_read(records: Sequence[Record]) -> Sequence[Record]:
    """Records, unless some could not be read: a list without them would let sends pass."""
    for one in records:
        if isinstance(one, UnreadBatch):
            raise BrokerUnavailable(
                f"{one.topic}[{one.partition}]@{one.first_offset}-{one.offset}: {one.why}"
            )
    return records


def _key_of(record: Record) -> str | None:
    """The entry key of a record; None for a foreign record."""
    try:
        key = str((record.key or b"").decode())
    except UnicodeDecodeError:
        return None
    return key if "/" in key else None


def mark_of(headers: Headers) -> Mark:
    """The mark a record's headers carry, ``NO_MARK`` where they carry none."""
    for key, value in headers:
        if key == MARK_HEADER:
            with suppress(ValueError):
                return Mark.parse((value or b"").decode())
    return NO_MARK
