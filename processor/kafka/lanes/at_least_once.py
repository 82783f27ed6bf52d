"""At-least-once lane for slow work; records may finish out of order.

The next record of each topic waits until it is due; records that are due are worked concurrently.
An offset is committed when its record and all before it are done. A note beside the offset names
the later records that are done already.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from processor.errors import BrokerUnavailable, RetryableError
from processor.kafka.failures import is_too_large, unavailable
from processor.kafka.lanes.delivery_source import Head, Source, Work
from processor.kafka.lanes.finished_offsets import Offsets
from processor.kafka.lanes.lane_state import Doing
from processor.kafka.lanes.partition_lane import START_S, LaneContext, PartitionLane, Waits
from processor.kafka.starting import start, stop
from processor.kafka.writing import Outgoing, Writer
from processor.wire.records import Record

logger = logging.getLogger(__name__)

_POLL_S = 0.5
_ROOM_S = 0.01  # until it is asked again whether there is room
_COMMIT_S = 5.0
_WRITE_S = 15.0
_COMMIT_EVERY_S = 1.0
_GRACE_S = 0.5  # for what was begun, when the partition is let go
_SETTLED_S = 0.6  # until the owner before, if it lives, has committed what it finished then
_IN_HAND = 1_000  # records that are worked, or wait for their turn
_FETCHED = 100  # records that are taken from aiokafka at once
_IN_A_ROW = 16  # records of one source, before it is the next one's turn
_NOT_THE_RECORDS_FAULT = (RetryableError, OSError, MemoryError)  # OSError: TimeoutError as well
_TOO_LARGE = "its result is larger than Kafka takes"


class DeliveryStage(Waits, Protocol):
    """Reads the work from a partition's records; the lane does everything else."""

    async def begin(self) -> None:
        """Wait for everything that the work needs."""
        ...

    def work_of(self, record: Record) -> Work | Outgoing | None:
        """The work that a record asks for, if any; a dead letter if it cannot be read."""
        ...

    def made(self, partition: int, offsets: Mapping[str, Iterable[int]]) -> Sequence[Outgoing]:
        """The trace of records whose work ``is_made``, by topic; they count once it is written."""
        ...

    def put_aside(self, record: Record, why: str, *, whole: bool = True) -> Outgoing:
        """The dead letter of a record; only a reference to the record if it is too large."""
        ...

    def unexpected(self, record: Record, error: Exception) -> Outgoing:
        """The dead letter of a record that raised an unforeseen error."""
        ...


class DeliveryLane(PartitionLane[DeliveryStage]):
    """Processes one partition at least once.

    Its arguments are those of ``PartitionLane``.
    """

    is_fenced = False

    def __init__(self, context: LaneContext, stage: DeliveryStage) -> None:
        super().__init__(context, stage)
        self._read: dict[TopicPartition, Source] = {}
        self._tasks: dict[asyncio.Task[None], Head] = {}
        self._in_hand: Counter[str | None] = Counter()  # accounts' records that are done now
        self._failure: Exception | None = None
        self._finished = asyncio.Event()
        self._committed_at = 0.0

    def _next_offsets(self) -> Mapping[TopicPartition, int]:
        """Only of sources whose next record is due: records not yet due do not count as lag."""
        for source in self._read.values():
            source.advance()
        return {
            tp: source.offsets.committed for tp, source in self._read.items() if not source.wait_s
        }

    async def _take(self) -> None:
        self._enter(Doing.TAKING)
        self._failure = None
        # No transactional id fences the owner before.
        await self._unless_stopped(asyncio.sleep(_SETTLED_S))
        await self._unless_stopped(self._stage.begin())
        self._producer = AIOKafkaProducer(
            **self._settings.kafka(),
            acks="all",  # without sequence numbers: a refused record would leave a gap in them
            linger_ms=2,
            max_request_size=1 << 22,
        )
        await self._unless_stopped(self._kafka(start(self._producer), START_S))
        taken = await self._take_positions()
        self._read = {tp: Source(Offsets(one.offset, one.stage_note)) for tp, one in taken.items()}
        self._read_from({tp: one.offset for tp, one in taken.items()})
        for tp in self._positions.new:
            self._read[tp].offsets.changed = True
        while self._member.is_rebalancing:
            await self._unless_stopped(asyncio.sleep(_ROOM_S))
        # Before the first output: from now on, a missing offset means a lost offset.
        await self._commit()

    async def _work(self) -> None:
        self._enter(Doing.RUNNING)
        while not self._stop.is_set():
            if self._failure is not None:
                raise self._failure
            await self._unless_stopped(self._go_on())
            if time.monotonic() - self._committed_at >= _COMMIT_EVERY_S:
                await self._commit()
                if not self._tasks:
                    self._is_well()

    async def _go_on(self) -> None:
        """Begin all that may begin, each source in turn; wait if nothing may."""
        begun = 0
        for tp, source in self._read.items():
            for _ in range(_IN_A_ROW):
                if len(self._tasks) >= _IN_HAND or not await self._is_ready(tp, source):
                    break
                self._begin(source)
                begun += 1
                await asyncio.sleep(0)  # it takes its place in the queue before the next one looks
        if not begun:
            await self._wait()

    async def _is_ready(self, tp: TopicPartition, source: Source) -> bool:
        if source.is_empty:
            await self._fetch([tp], 0.0)
        source.advance()
        return source.is_ready

    async def _wait(self) -> None:
        """Wait shortly, until a record is done, fetched or due, or there may be room again."""
        if len(self._tasks) >= _IN_HAND:
            self._finished.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._finished.wait(), _POLL_S)
            return
        heads = [source for source in self._read.values() if source.head]
        wait_s = min((source.wait_s or _ROOM_S for source in heads), default=_POLL_S)
        empty = [tp for tp, source in self._read.items() if source.is_empty]
        await self._fetch(empty, min(wait_s, _POLL_S))

    async def _fetch(self, sources: Sequence[TopicPartition], wait_s: float) -> None:
        """Fetch records of empty sources; wait for them if there are none."""
        if not sources:
            await asyncio.sleep(wait_s)
            return
        reading = self._reading
        assert reading is not None
        try:
            found = await reading.records(sources, wait_s=wait_s, most=_FETCHED)
            ends = await self._positions.follow(reading, sources)
            for tp in sources:
                if not found.get(tp):  # the end of a transaction is not a record
                    self._read[tp].offsets.advance(ends[tp])
        except KafkaError as error:
            raise unavailable(error) from error
        for tp, records in found.items():
            self._take_in(self._read[tp], records)

    def _take_in(self, source: Source, records: Sequence[Record]) -> None:
        asked = [(record, self._work_of(record)) for record in records]
        refused = sum(isinstance(work, Outgoing) for _, work in asked)
        source.fetched.extend(asked)
        self._metrics.batch(len(records), {"refused": refused})
        self._progressed_at = time.monotonic()

    def _work_of(self, record: Record) -> Work | Outgoing | None:
        try:
            return self._stage.work_of(record)
        except _NOT_THE_RECORDS_FAULT:
            raise
        except Exception as error:
            return self._stage.unexpected(record, error)

    def _begin(self, source: Source) -> None:
        head = source.take()
        # No account has more records in progress than stay free for others.
        is_greedy = self._in_hand[head.account_sid] >= _IN_HAND - len(self._tasks)
        head.is_put_off = head.account_sid is not None and (is_greedy or not head.has_room)
        if not head.is_put_off:
            self._in_hand[head.account_sid] += 1
        task = asyncio.create_task(self._handle(source, head))
        self._tasks[task] = head
        task.add_done_callback(self._ended)

    async def _handle(self, source: Source, head: Head) -> None:
        outputs = await self._outputs_of(head)
        self._at_step("answered")
        if outputs:
            await self._write(head.record, outputs)
        if head.is_made:
            source.made.append(head.record.offset)
        if not isinstance(head.work, Outgoing):
            source.done.append(head.work)
        source.offsets.finish(head.record.offset)
        self._progressed_at = time.monotonic()
        self._is_well()

    async def _outputs_of(self, head: Head) -> Sequence[Outgoing]:
        work = head.work
        if isinstance(work, Outgoing):
            return [work]
        try:
            return work.put_off() if head.is_put_off else await work.do()
        except _NOT_THE_RECORDS_FAULT:
            raise
        except Exception as error:
            return [self._stage.unexpected(head.record, error)]

    async def _write(self, record: Record, outputs: Sequence[Outgoing]) -> None:
        """Write a record's outputs; dead-letter the record if they are too large for Kafka."""
        writer = Writer(self._producer, self._settings.partitions)
        for whole in (True, False):
            try:
                return await self._kafka(writer.send_all(outputs), _WRITE_S)
            except BrokerUnavailable as error:
                if not is_too_large(error):
                    raise
            outputs = [self._stage.put_aside(record, _TOO_LARGE, whole=whole)]
        return await self._kafka(writer.send_all(outputs), _WRITE_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        head = self._tasks.pop(task)
        if not head.is_put_off:
            self._in_hand[head.account_sid] -= 1
            if not self._in_hand[head.account_sid]:
                del self._in_hand[head.account_sid]
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._failure = error
        self._finished.set()

    async def _commit(self) -> None:
        """Commit what is done; where that fails, the next commit has all of it again."""
        self._committed_at = time.monotonic()
        if self._member.is_rebalancing:
            return  # the group would refuse it; there is a next time
        changed = {tp: source for tp, source in self._read.items() if source.offsets.changed}
        offsets = {
            tp: self._positions.to_commit(tp, source.offsets.committed, source.offsets.note())
            for tp, source in changed.items()
        }
        done = {tp: (len(source.made), len(source.done)) for tp, source in changed.items()}
        for source in changed.values():
            source.offsets.changed = False
        try:
            await self._write_made()
            if offsets:
                await self._kafka(self._member.commit(offsets), _COMMIT_S)
                self._at_step("committed")
        except BaseException:
            for source in changed.values():
                source.offsets.changed = True
            raise
        for tp, source in changed.items():
            source.are_committed(*done[tp])

    async def _write_made(self) -> None:
        """Write the trace of what is made; a commit of these records comes behind it."""
        made = {tp.topic: list(source.made) for tp, source in self._read.items() if source.made}
        if not made:
            return
        outputs = self._stage.made(self.partition, made)
        self._at_step("tracing")
        writer = Writer(self._producer, self._settings.partitions)
        await self._kafka(writer.send_all(outputs), _WRITE_S)

    async def _let_go(self) -> None:
        """Wait a little for what was begun, drop the rest, and commit what is done."""
        self._read_no_more()
        for task, head in self._tasks.items():
            if head.may_be_dropped:
                task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_GRACE_S)
        late = list(self._tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for source in self._read.values():
            source.drop()
        with contextlib.suppress(BrokerUnavailable):
            await self._commit()
        producer, self._producer = self._producer, None
        if producer is not None:
            self._behind(stop(producer))
