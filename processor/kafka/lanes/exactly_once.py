"""Exactly-once lane: one partition, one fenced transactional producer.

The steps are those of `processor/DESIGN.md`. aiokafka sends no group metadata with a transaction's
offsets, so the group does not fence a zombie; the partition's own transactional id does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import merge
from typing import Protocol

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from processor.kafka.copying import TransactionBatch, can_copy, copied, new_batch
from processor.kafka.failures import TRANSACTION_ERRORS, ended_by, unavailable
from processor.kafka.lanes.batch_size import BatchSize
from processor.kafka.lanes.lane_state import Doing
from processor.kafka.lanes.partition_lane import (
    START_S,
    LaneContext,
    PartitionLane,
    Waits,
)
from processor.kafka.lanes.round_trips import ask_for_both
from processor.kafka.lanes.source_reader import REQUEST_S
from processor.kafka.ports import RecordBatch
from processor.kafka.starting import start, stop
from processor.wire.headers import source_of
from processor.wire.records import Header, Output, Record, Row
from processor.wire.texts import record_of

logger = logging.getLogger(__name__)

_COMMIT_S = 4.0  # below the broker's own time-out of a transaction
_LOOK_S = 0.5  # for a last look's answer, where the lane is to stop
# For a killed worker's last transaction: readers wait for its end. Brokers look for expired
# transactions every ten seconds.
_TRANSACTION_TIMEOUT_MS = 5_000
_POLL_S = 0.5
_MAX_BATCH_BYTES = 1 << 19
_MAX_REQUEST_BYTES = 1 << 22
_FEW = 100  # records to copy, for which batches of their own would be too small


class Batch(Protocol):
    """A stage's output for some records, written but not committed yet."""

    @property
    def note(self) -> str:
        """The note to commit with the offsets, for the next owner; empty for none."""
        ...

    async def still_holds(self) -> bool:
        """Check before the commit; False if the output no longer holds: process again."""
        ...

    async def committed(self) -> None:
        """Take note that the output is committed, or that there was none."""
        ...


class Stage(Waits, Protocol):
    """Decides on the records of a lane's partition; the lane does everything else."""

    async def claim(self) -> None:
        """Step 1a: from now on, no older owner can write where this stage writes."""
        ...

    async def inherit(self, notes: Iterable[str]) -> str:
        """Step 1d: learn what the last owner noted.

        Args:
            notes: the note beside each source's offset. It is empty if the offset was never
                committed, or was set from outside.

        Returns:
            The note that is committed before anything is put out; see ``Batch``.
        """
        ...

    async def recover(self, committed: Mapping[str, int]) -> str:
        """Step 1e: settle what the last owner left unfinished.

        Args:
            committed: source topic to its committed offset.

        Returns:
            The note that goes with the offsets until there is a batch; see ``Batch``.
        """
        ...

    async def process(self, records: Sequence[Record], out: Output) -> Batch:
        """Step 2: decide on records of all sources, in order; write to the store, emit events."""
        ...

    async def idle(self) -> None:
        """Called about once a second."""
        ...


class LaneOutput:
    """The unsent records of one batch, for one partition of several topics."""

    def __init__(self, producer: AIOKafkaProducer, partition: int) -> None:
        self._producer = producer
        self._partition = partition
        self._open: dict[str | tuple[str, int], RecordBatch] = {}
        self._full: list[tuple[str | tuple[str, int], RecordBatch]] = []
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
            builder = self._open[place] = self._new_batch()
        headers = headers or []  # a list: the builders take nothing else
        if builder.append(key=key, value=value, timestamp=None, headers=headers) is None:
            self._full.append((place, builder))
            builder = self._open[place] = self._new_batch()
            builder.append(key=key, value=value, timestamp=None, headers=headers)

    def fill(self, topic: str, rows: list[Row]) -> None:
        """Add records with holes to a topic's batches; see ``Output``."""
        taken = 0
        while taken < len(rows):
            builder = self._open.get(topic)
            if builder is None:
                builder = self._open[topic] = self._new_batch()
            if isinstance(builder, TransactionBatch):
                taken += builder.fill(rows, taken)
                if builder.closed():
                    self._full.append((topic, self._open.pop(topic)))
            else:
                self.put(topic, *record_of(rows[taken]))
                taken += 1

    def _new_batch(self) -> RecordBatch:
        made = new_batch(int(time.time() * 1000), _MAX_BATCH_BYTES)
        return made or self._producer.create_batch()

    def copy(self, topic: str, records: Sequence[Record], headers: list[Header]) -> None:
        """Add records to a topic's batches in this lane's partition; see ``Output``."""
        if len(records) < _FEW or not can_copy(records):
            for record in records:
                self.put(topic, record.key, record.value, [*headers, source_of(record)])
            return
        if builder := self._open.pop(topic, None):
            self._full.append((topic, builder))
        at_ms = int(time.time() * 1000)
        batches = copied(records, headers, at_ms=at_ms, most_bytes=_MAX_BATCH_BYTES)
        self._full += [(topic, batch) for batch in batches]

    async def announce(self) -> None:
        """Let the transaction begin with the partitions that are written to; see `round_trips`."""
        manager = self._producer._txn_manager
        for topic, partition in {self._at(place) for place, _ in self._all()}:
            if partition in await self._producer.partitions_for(topic):
                manager.maybe_add_partition_to_txn(TopicPartition(topic, partition))

    def _all(self) -> Sequence[tuple[str | tuple[str, int], RecordBatch]]:
        return (*self._full, *self._open.items())

    def _at(self, place: str | tuple[str, int]) -> tuple[str, int]:
        return (place, self._partition) if isinstance(place, str) else place

    async def send(self) -> None:
        """Send all records and await every batch, because a commit does not fail with them."""
        fates = []
        try:
            for place, builder in self._all():
                topic, partition = self._at(place)
                builder.close()
                fate = await self._producer.send_batch(builder, topic, partition=partition)
                fates.append(fate)
            await asyncio.gather(*fates)
        except TRANSACTION_ERRORS as error:
            raise ended_by(self._producer) or error from None


class Lane(PartitionLane[Stage]):
    """Exactly once: outputs and offsets in one transaction of the partition's own producer.

    Its arguments are those of ``PartitionLane``.
    """

    is_fenced = True

    def __init__(self, context: LaneContext, stage: Stage) -> None:
        super().__init__(context, stage)
        self._in_transaction = False
        self._next: dict[TopicPartition, int] = {}  # the first offset not processed yet
        self._uncommitted: set[TopicPartition] = set()
        self._note = ""  # that goes with the offsets
        self._committed_at = 0.0
        self._batch_size = BatchSize(context.settings.batch_records)

    def _next_offsets(self) -> Mapping[TopicPartition, int]:
        return self._next

    async def _take(self) -> None:
        self._enter(Doing.TAKING)
        self._uncommitted = set()  # self._next stays as it was: the lag is counted from it
        self._at_step("claim")
        await self._unless_stopped(self._stage.claim())
        self._at_step("producer")
        producer = AIOKafkaProducer(
            **self._settings.kafka(request_s=REQUEST_S),
            transactional_id=f"{self._group}-{self.partition}",
            transaction_timeout_ms=_TRANSACTION_TIMEOUT_MS,
            retry_backoff_ms=5,
            linger_ms=0,
            max_batch_size=_MAX_BATCH_BYTES,
            max_request_size=_MAX_REQUEST_BYTES,
        )
        ask_for_both(producer)
        self._producer = producer
        await self._unless_stopped(self._kafka(start(producer), START_S))
        self._at_step("committed")
        taken = await self._take_positions()
        first = {tp: position.offset for tp, position in taken.items()}
        notes = {tp: position.stage_note for tp, position in taken.items()}
        self._note = await self._unless_stopped(self._stage.inherit(notes.values()))
        self._next = first
        self._uncommitted = {
            tp for tp in taken if tp in self._positions.new or self._note != notes[tp]
        }
        if self._uncommitted:
            # Before the first output: from now on, a missing offset means a lost offset. Also
            # before this owner's first write can be read: the next owner must begin above it.
            await self._kafka(self._transaction(), _COMMIT_S)
            self._uncommitted = set(taken)  # by the note of one who has recovered
        self._at_step("recover")
        self._note = await self._unless_stopped(
            self._stage.recover({tp.topic: offset for tp, offset in first.items()})
        )
        self._read_from(first)

    async def _work(self) -> None:
        self._enter(Doing.RUNNING)
        looked_at = time.monotonic()
        while not self._stop.is_set():
            # Small transactions are the main cost: under load, let records gather between two. A
            # lane that was idle does not wait.
            early_s = self._committed_at + self._settings.batch_wait_ms / 1000 - time.monotonic()
            if early_s > 0:
                await self._unless_stopped(asyncio.sleep(early_s))
            found, ends = await self._unless_stopped(self._next_records())
            if found:
                began = time.monotonic()
                try:
                    await self._batch(found, ends)
                finally:
                    self._batch_size.took(time.monotonic() - began)
            else:
                self._move_to(ends)
            now = time.monotonic()
            if self._uncommitted and now - self._committed_at >= 1:
                await self._commit()
            if now - looked_at >= 1:
                looked_at = now
                await self._unless_stopped(self._stage.idle())
                self._is_well()
        if self._uncommitted:
            await self._commit()

    async def _next_records(
        self,
    ) -> tuple[Mapping[TopicPartition, Sequence[Record]], Mapping[TopicPartition, int]]:
        """The next records, and the offset after them for each source that moved.

        It moves on without a record, too: past the markers of its producers' transactions.
        """
        reading = self._reading
        assert reading is not None
        try:
            found = await reading.records(self._sources, wait_s=_POLL_S, most=self._batch_size.now)
            positions = await self._positions.follow(reading, self._sources)
        except KafkaError as error:
            raise unavailable(error) from error
        return found, {tp: end for tp, end in positions.items() if end != self._next[tp]}

    def _move_to(self, ends: Mapping[TopicPartition, int]) -> None:
        self._next.update(ends)
        self._uncommitted.update(ends)

    async def _batch(
        self, found: Mapping[TopicPartition, Sequence[Record]], ends: Mapping[TopicPartition, int]
    ) -> None:
        records = next(iter(found.values()))
        if len(found) > 1:
            # Sources are merged by arrival; each keeps its own order.
            records = list(merge(*found.values(), key=lambda record: record.timestamp))
        while True:
            out = LaneOutput(self._producer, self.partition)
            self._at_step("process")
            with self._metrics.process.time():
                batch = await self._unless_stopped(self._stage.process(records, out))
            self._note = batch.note
            self._faults.check(len(records), out.counts["faults"])
            self._move_to(ends)
            # A batch without output needs no transaction: a later commit includes its offset.
            if not out or await self._commit(out, batch):
                break
        self._faults.add(len(records), out.counts["faults"])
        self._metrics.batch(len(records), out.counts)
        self._progressed_at = time.monotonic()
        await self._unless_stopped(batch.committed(), grace_s=_LOOK_S)
        self._is_well()

    async def _commit(self, out: LaneOutput | None = None, batch: Batch | None = None) -> bool:
        """Steps 3 to 5: outputs and offsets in one transaction; False if it must be redone."""
        with self._metrics.transaction.time():
            return await self._kafka(self._transaction(out, batch), _COMMIT_S)

    async def _transaction(self, out: LaneOutput | None = None, batch: Batch | None = None) -> bool:
        producer = self._producer
        at_step = self._at_step if out else lambda step: None  # offsets alone are not a step
        at_step("begin")
        await producer.begin_transaction()
        self._in_transaction = True
        if out:
            await out.announce()
        # Offsets first: this keeps the broker from answering the first batch with a retry. Both at
        # once would, too: a broker checks one request of a transaction at a time.
        offsets = {
            tp: self._positions.to_commit(tp, self._next[tp], self._note)
            for tp in self._uncommitted
        }
        await producer.send_offsets_to_transaction(offsets, self._group)
        if out and batch:
            at_step("emit")
            with self._metrics.emit.time():
                await out.send()
            at_step("last_look")
            with self._metrics.last_look.time():
                holds = await self._unless_stopped(batch.still_holds(), grace_s=_LOOK_S)
            if not holds:
                await producer.abort_transaction()
                self._in_transaction = False
                return False
        at_step("commit")
        with self._metrics.commit.time():
            await producer.commit_transaction()
        self._in_transaction = False
        at_step("committed_batch")
        self._uncommitted = set()
        self._committed_at = time.monotonic()
        return True

    async def _let_go(self) -> None:
        """Step 6: drop the producer and abort its open transaction, or readers wait for it."""
        self._read_no_more()
        producer, self._producer = self._producer, None
        is_open, self._in_transaction = self._in_transaction, False
        if producer is not None:
            self._behind(_dropped(producer, is_open))


async def _dropped(producer: AIOKafkaProducer, has_transaction: bool) -> None:
    try:
        async with asyncio.timeout(_COMMIT_S):
            if has_transaction:
                await producer.abort_transaction()
    except Exception as error:
        # A broken or fenced producer cannot abort. The next owner's start settles the transaction,
        # or has done so already.
        logger.info("lane.not_aborted", extra={"why": type(error).__name__})
    finally:
        await stop(producer)
