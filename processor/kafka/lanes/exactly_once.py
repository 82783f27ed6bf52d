"""Exactly-once lane: one partition, and one owner that may write for it.

The steps are those of `processor/DESIGN.md`. aiokafka sends no group metadata with a transaction's
offsets, so the group does not fence a zombie. The partition's own transactional id does, and the
name of the relay in the note beside the offsets; see `shared_transactions.py`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from heapq import merge
from typing import Protocol

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from processor.kafka.failures import unavailable
from processor.kafka.groups import committed_of
from processor.kafka.lanes.batch_size import BatchSize
from processor.kafka.lanes.lane_output import LaneOutput
from processor.kafka.lanes.lane_state import Doing
from processor.kafka.lanes.partition_lane import START_S, LaneContext, PartitionLane, Waits
from processor.kafka.lanes.position_rules import Position
from processor.kafka.lanes.positions import freed, writers_in
from processor.kafka.lanes.read_ahead import ReadAhead
from processor.kafka.lanes.relay import COMMIT_S, dropped
from processor.kafka.lanes.shared_transactions import Seat
from processor.kafka.lanes.transactional_producers import ExplicitProducer, transactional
from processor.kafka.lanes.transactions import Part, Refused, transact
from processor.kafka.starting import start
from processor.wire.records import Output, Record

logger = logging.getLogger(__name__)

_LOOK_S = 0.5  # for a last look's answer, where the lane is to stop
_POLL_S = 0.5
_LEAVE_S = 2.0  # for the last owner, which may still live, to commit what it has in hand
_ASK_AGAIN_S = 0.03


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


class Lane(PartitionLane[Stage]):
    """Exactly once: outputs and offsets in one transaction, after the first with other lanes'.

    Its arguments are those of ``PartitionLane``.
    """

    is_fenced = True

    def __init__(self, context: LaneContext, stage: Stage) -> None:
        super().__init__(context, stage)
        self._shared = context.shared
        self._ahead: ReadAhead | None = None
        self._seat: Seat | None = None  # None: it commits with its own producer
        self._turn = 0
        self._failed_to: dict[TopicPartition, int] = {}  # the furthest ends of failed commits
        self._is_settled = True  # whether the outcome of its last commit is known
        self._in_transaction = False
        self._next: dict[TopicPartition, int] = {}  # the first offset not processed yet
        self._uncommitted: set[TopicPartition] = set()
        self._committed: dict[TopicPartition, OffsetAndMetadata] = {}  # as far as is known
        self._note = ""  # that goes with the offsets
        self._committed_at = 0.0
        self._batch_size = BatchSize(context.settings.batch_records)

    def _next_offsets(self) -> Mapping[TopicPartition, int]:
        return self._next

    async def _take(self) -> None:
        self._enter(Doing.TAKING)
        self._uncommitted = set()  # self._next stays as it was: the lag is counted from it
        self._committed = {}
        self._at_step("claim")
        await self._unless_stopped(self._stage.claim())
        self._at_step("producer")
        self._producer = transactional(self._settings, f"{self._group}-{self.partition}")
        await self._unless_stopped(self._kafka(start(self._producer), START_S))
        taking = self._shared.take(self.partition)
        self._turn = await self._unless_stopped(self._kafka(taking, START_S))
        await self._unless_stopped(self._kafka(self._shared.name(), START_S))
        self._at_step("committed")
        taken = await self._settled()
        first = {tp: position.offset for tp, position in taken.items()}
        notes = {tp: position.stage_note for tp, position in taken.items()}
        self._note = await self._unless_stopped(self._stage.inherit(notes.values()))
        self._next = first
        self._uncommitted = {
            tp
            for tp, position in taken.items()
            if tp in self._positions.new or self._note != notes[tp] or position.writer
        }
        if self._uncommitted:
            # Before the first output: from now on, a missing offset means a lost offset. Also
            # before this owner's first write can be read: the next owner must begin above it.
            await self._commit()
            self._uncommitted = set(taken)  # by the note of one who has recovered
        self._at_step("recover")
        self._note = await self._unless_stopped(
            self._stage.recover({tp.topic: offset for tp, offset in first.items()})
        )
        self._read_from(first)
        assert self._reading is not None
        self._ahead = ReadAhead(self._reading, self._sources, self._batch_size.now)

    async def _settled(self) -> dict[TopicPartition, Position]:
        """The positions, when no relay of an earlier owner can change them any more.

        An owner that still lives may be committing its last batch. It is not fenced before it had
        time to leave, because that would end the lanes that stay with it, too.

        Raises:
            PositionRefused: a position is not credible.
        """
        deadline = time.monotonic() + _LEAVE_S
        while True:
            asked = committed_of(self._member, self._sources)
            committed = await self._unless_stopped(self._kafka(asked, START_S))
            named = {name for name in writers_in(committed) if not self._shared.is_settled(name)}
            if not named:
                taken = await self._take_positions()
                if all(self._shared.is_settled(one.writer) for one in taken.values()):
                    return taken
            elif time.monotonic() > deadline or self._shared.had(named):
                for name in named:
                    fencing = self._shared.fence(name)
                    await self._unless_stopped(self._kafka(fencing, START_S))
            else:
                await self._unless_stopped(asyncio.sleep(_ASK_AGAIN_S))

    async def _work(self) -> None:
        self._enter(Doing.RUNNING)
        looked_at = time.monotonic()
        while not self._stop.is_set():
            if self._seat is not None:
                self._seat.check()
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
        reading = self._ahead
        assert reading is not None
        try:
            found = await reading.records(wait_s=_POLL_S, most=self._batch_size.now)
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
            out = LaneOutput(self.partition)
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
        try:
            with self._metrics.transaction.time():
                if self._seat is not None:
                    is_committed = await self._commit_with_others(self._seat, out, batch)
                else:
                    is_committed = await self._commit_alone(out, batch)
        except Exception:
            for tp, end in self._next.items():  # a smaller batch may fail before what failed first
                self._failed_to[tp] = max(end, self._failed_to.get(tp, 0))
            raise
        if is_committed:
            self._uncommitted = set()
            self._committed_at = time.monotonic()
        return is_committed

    async def _commit_with_others(
        self, seat: Seat, out: LaneOutput | None, batch: Batch | None
    ) -> bool:
        part = self._part(self._uncommitted, seat.name, out, batch)
        try:
            is_committed = await self._shared.commit(seat, part)
        except asyncio.CancelledError:
            # After another failure it is not committed; if that is not sure, the seat has ended.
            self._is_settled = not part.is_sent
            raise
        if is_committed:
            self._committed.update(part.offsets)
        return is_committed

    async def _commit_alone(self, out: LaneOutput | None, batch: Batch | None) -> bool:
        """Commit with the partition's own producer; with output, join the others afterwards.

        After a failure it joins when everything that failed is committed. So a lane whose outputs
        cannot be written fails alone.
        """
        is_past = all(end >= self._failed_to.get(tp, 0) for tp, end in self._next.items())
        joins = out is not None and is_past
        name = await self._kafka(self._shared.name(), START_S) if joins else None
        part = self._part(self._next if joins else self._uncommitted, name, out, batch)
        self._in_transaction = True
        try:
            transaction = transact(
                ExplicitProducer(self._producer), self._group, [part], self._metrics
            )
            await self._kafka(transaction, COMMIT_S)
        except Refused as refused:
            self._in_transaction = False
            if why := refused.why[part]:
                raise why from None
            return False
        self._in_transaction = False
        self._committed.update(part.offsets)
        if name is not None:
            self._seat, self._is_settled = self._shared.seat(self.partition, self._turn, name), True
            producer, self._producer = self._producer, None
            self._behind(dropped(ExplicitProducer(producer), has_transaction=False))
        return True

    def _part(
        self,
        sources: Iterable[TopicPartition],
        writer: str | None,
        out: LaneOutput | None,
        batch: Batch | None,
    ) -> Part:
        offsets = {
            tp: self._positions.to_commit(tp, self._next[tp], self._note, writer) for tp in sources
        }
        if out is None or batch is None:
            return Part(offsets)

        async def still_holds() -> bool:
            return await self._unless_stopped(batch.still_holds(), grace_s=_LOOK_S)

        return Part(offsets, out, still_holds, self._at_step)

    async def _let_go(self) -> None:
        """Step 6: give the partition back; abort a transaction that is open, or readers wait.

        The relay is taken out of the note. If this fails, the next owner fences that relay.
        """
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None
        self._read_no_more()
        producer, self._producer = self._producer, None
        is_open, self._in_transaction = self._in_transaction, False
        if producer is not None:
            self._behind(dropped(ExplicitProducer(producer), is_open))
        seat, self._seat = self._seat, None
        if seat is not None:
            last = Part(freed(self._committed)) if self._is_settled else None
            self._shared.leave(seat, last)
