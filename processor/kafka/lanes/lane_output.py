"""The unsent records of a lane's batch."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from aiokafka import AIOKafkaProducer, TopicPartition

from processor.kafka.copying import MOST_BYTES, TransactionBatch, can_copy, copied, new_batch
from processor.kafka.failures import TRANSACTION_ERRORS, ended_by
from processor.kafka.ports import TransactionalBatch
from processor.wire.headers import source_of
from processor.wire.records import Header, Record, Row
from processor.wire.texts import record_of

_FEW = 100  # records to copy, for which batches of their own would be too small

_Place: TypeAlias = str | tuple[str, int]  # a topic, in the lane's partition or in another


class LaneOutput:
    """The unsent records of one batch, for one partition of several topics."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._open: dict[_Place, TransactionalBatch] = {}
        self._full: list[tuple[_Place, TransactionalBatch]] = []
        self.counts: Counter[str] = Counter()  # see ``LaneMetrics.batch``

    def clear(self) -> None:
        """Forget all records, to begin again."""
        self._open, self._full = {}, []
        self.counts.clear()

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        return bool(self._open or self._full)

    def put(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: list[Header] | None = None,
        partition: int | None = None,
    ) -> None:
        """Add a record to its topic's batch, by default in this lane's partition."""
        place = topic if partition is None else (topic, partition)
        builder = self._open.get(place)
        if builder is None:
            builder = self._open[place] = _new_batch()
        headers = headers or []  # a list: the builders take nothing else
        if builder.append(key=key, value=value, timestamp=None, headers=headers) is None:
            self._full.append((place, builder))
            builder = self._open[place] = _new_batch()
            builder.append(key=key, value=value, timestamp=None, headers=headers)

    def fill(self, topic: str, rows: list[Row]) -> None:
        """Add records with holes to a topic's batches; see ``Output``."""
        taken = 0
        while taken < len(rows):
            builder = self._open.get(topic)
            if builder is None:
                builder = self._open[topic] = _new_batch()
            if isinstance(builder, TransactionBatch):
                taken += builder.fill(rows, taken)
                if builder.closed():
                    self._full.append((topic, self._open.pop(topic)))
            else:
                self.put(topic, *record_of(rows[taken]))
                taken += 1

    def copy(self, topic: str, records: Sequence[Record], headers: list[Header]) -> None:
        """Add records to a topic's batches in this lane's partition; see ``Output``."""
        if len(records) < _FEW or not can_copy(records):
            for record in records:
                self.put(topic, record.key, record.value, [*headers, source_of(record)])
            return
        if builder := self._open.pop(topic, None):
            self._full.append((topic, builder))
        at_ms = int(time.time() * 1000)
        batches = copied(records, headers, at_ms=at_ms, most_bytes=MOST_BYTES)
        self._full += [(topic, batch) for batch in batches]

    def batches(self) -> Iterable[tuple[TopicPartition, TransactionalBatch]]:
        """Every batch with its partition, in the order in which they are sent."""
        for place, batch in (*self._full, *self._open.items()):
            topic, partition = (place, self._partition) if isinstance(place, str) else place
            yield TopicPartition(topic, partition), batch


def _new_batch() -> TransactionalBatch:
    return new_batch(int(time.time() * 1000), MOST_BYTES)


async def announce(producer: AIOKafkaProducer, outputs: Iterable[LaneOutput]) -> None:
    """Let a transaction begin with the partitions that are written to; see ``round_trips``."""
    manager = producer._txn_manager
    for tp in {tp for out in outputs for tp, _ in out.batches()}:
        if tp.partition in await producer.partitions_for(tp.topic):
            manager.maybe_add_partition_to_txn(tp)


async def send(producer: AIOKafkaProducer, outputs: Iterable[LaneOutput]) -> None:
    """Send all records and await every batch, because a commit does not fail with them."""
    fates = []
    try:
        for tp, batch in [one for out in outputs for one in out.batches()]:
            batch.close()
            fates.append(await producer.send_batch(batch, tp.topic, partition=tp.partition))
        await asyncio.gather(*fates)
    except TRANSACTION_ERRORS as error:
        raise ended_by(producer) or error from None
