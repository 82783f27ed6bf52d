"""A lane whose work takes long and may be done twice: at least once, in no order of its own.

Records are read ahead and worked beside each other. An offset is committed when its record is done
and all before it are; which later ones are done already stands in a note beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush, merge
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from processor.config import Settings
from processor.core.offsets import Offsets
from processor.errors import BrokerUnavailable
from processor.kafka.client import Outgoing, Writer
from processor.kafka.failures import in_words
from processor.kafka.partition_lane import START_S, PartitionLane, Waits
from processor.metrics import LaneMetrics

logger = logging.getLogger(__name__)

_POLL_S = 0.5
_COMMIT_S = 5.0
_WRITE_S = 15.0
_COMMIT_EVERY_S = 1.0
_GRACE_S = 5.0  # for what was begun, when the partition is let go
_IN_HAND = 1_000  # records that are worked, or wait for their turn
_HELD = 10_000  # records whose time has not come


class Work(Protocol):
    """What is to be done about one record."""

    @property
    def due_ms(self) -> int:
        """Not before this time, UTC."""
        ...

    @property
    def begun(self) -> bool:
        """Whether it is too late to drop it without a trace."""
        ...

    async def wait_for_room(self) -> None:
        """Hold the partition up, shortly, where that keeps the order of what is busy but quick."""
        ...

    async def do(self) -> Sequence[Outgoing]:
        """Do it. The record is done once what is returned has been written."""
        ...


class DeliveryStage(Waits, Protocol):
    """What the records of a partition ask for; the lane does all the rest."""

    async def begin(self) -> None:
        """Wait for what the work cannot do without."""
        ...

    def work_of(self, record: Any) -> Work | Outgoing | None:
        """What a record asks for, if anything; a dead letter where it cannot be read."""
        ...


class DeliveryLane(PartitionLane[DeliveryStage]):
    """Works one partition at least once.

    Its arguments are those of ``PartitionLane``.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        group: str,
        consumer: Any,
        sources: Sequence[TopicPartition],
        stage: DeliveryStage,
        metrics: LaneMetrics,
        at_step: Callable[[str], None] = lambda step: None,
    ) -> None:
        super().__init__(
            settings,
            group=group,
            consumer=consumer,
            sources=sources,
            stage=stage,
            metrics=metrics,
            at_step=at_step,
        )
        self._offsets: dict[TopicPartition, Offsets] = {}
        self._held: list[tuple[int, TopicPartition, int, Work]] = []  # a heap: due first
        self._held_of: Counter[TopicPartition] = Counter()
        self._tasks: dict[asyncio.Task[None], Work | Outgoing] = {}
        self._failure: Exception | None = None
        self._finished = asyncio.Event()
        self._committed_at = 0.0

    def _next_offsets(self) -> Mapping[TopicPartition, int]:
        """What is only held until its time is in nobody's way: the watchdog need not know of it."""
        return {
            tp: offsets.position if len(offsets) == self._held_of[tp] else offsets.committed
            for tp, offsets in self._offsets.items()
            if self._held_of[tp] < _HELD
        }

    async def _take(self) -> None:
        self._doing = "taking"
        self._failure = None
        await self._unless_stopped(self._stage.begin())
        self._producer = AIOKafkaProducer(
            **self._settings.kafka(),
            enable_idempotence=True,
            linger_ms=2,
            max_request_size=1 << 22,
        )
        await self._kafka(self._producer.start(), START_S)
        committed = await self._read_committed()
        self._offsets = {tp: Offsets(one.offset, one.metadata) for tp, one in committed.items()}
        self._seek({tp: one.offset for tp, one in committed.items()})

    async def _work(self) -> None:
        self._doing = "running"
        while not self._stop.is_set():
            if self._failure is not None:
                raise self._failure
            await self._start_due()
            if len(self._tasks) >= _IN_HAND:
                self._finished.clear()
                await self._unless_stopped(self._finished.wait())
            else:
                await self._take_in(await self._unless_stopped(self._next_records()))
            if time.monotonic() - self._committed_at >= _COMMIT_EVERY_S:
                await self._commit()

    async def _next_records(self) -> Mapping[TopicPartition, list[Any]]:
        """Records of every source that has room for them; none where the next held one is due."""
        sources = [tp for tp in self._sources if self._held_of[tp] < _HELD]
        wait_s = _POLL_S
        if self._held:
            wait_s = min(wait_s, max(0.0, (self._held[0][0] - _now_ms()) / 1000))
        try:
            found: Mapping[TopicPartition, list[Any]] = await self._consumer.getmany(
                *sources,
                timeout_ms=round(1000 * wait_s),
                max_records=_IN_HAND - len(self._tasks),
            )
            for tp in sources:
                if not found.get(tp):  # a transaction's end is no record
                    self._offsets[tp].advance(await self._consumer.position(tp))
        except KafkaError as error:
            raise BrokerUnavailable(in_words(error)) from error
        return found

    async def _take_in(self, found: Mapping[TopicPartition, list[Any]]) -> None:
        records = list(merge(*found.values(), key=lambda record: record.timestamp))
        asked = [(record, self._stage.work_of(record)) for record in records]
        refused = sum(isinstance(work, Outgoing) for _, work in asked)
        for record, work in asked:
            tp = TopicPartition(record.topic, record.partition)
            if not self._offsets[tp].begin(record.offset):
                continue  # done before a restart
            if work is None:
                self._offsets[tp].finish(record.offset)
            elif isinstance(work, Outgoing):
                self._spawn(tp, record.offset, work)
            elif work.due_ms > _now_ms():
                heappush(self._held, (work.due_ms, tp, record.offset, work))
                self._held_of[tp] += 1
            else:
                await self._start(tp, record.offset, work)
        if records:
            self._metrics.batch(len(records), {"refused": refused})
            self._progressed_at = time.monotonic()

    async def _start_due(self) -> None:
        while self._held and self._held[0][0] <= _now_ms() and len(self._tasks) < _IN_HAND:
            _, tp, offset, work = heappop(self._held)
            self._held_of[tp] -= 1
            await self._start(tp, offset, work)

    async def _start(self, tp: TopicPartition, offset: int, work: Work) -> None:
        await self._unless_stopped(work.wait_for_room())
        self._spawn(tp, offset, work)
        await asyncio.sleep(0)  # it takes its place in the queue before the next one looks

    def _spawn(self, tp: TopicPartition, offset: int, work: Work | Outgoing) -> None:
        task = asyncio.create_task(self._handle(tp, offset, work))
        self._tasks[task] = work
        task.add_done_callback(self._ended)

    async def _handle(self, tp: TopicPartition, offset: int, work: Work | Outgoing) -> None:
        records = [work] if isinstance(work, Outgoing) else await work.do()
        self._at_step("answered")
        if records:
            written = Writer(self._producer, self._settings.partitions).send_all(records)
            await self._kafka(written, _WRITE_S)
        self._offsets[tp].finish(offset)
        self._progressed_at = time.monotonic()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._failure = error
        self._finished.set()

    async def _commit(self) -> None:
        self._committed_at = time.monotonic()
        offsets = {}
        for tp, one in self._offsets.items():
            if one.changed:
                offsets[tp] = OffsetAndMetadata(one.committed, one.note())
                one.changed = False
        if offsets:
            await self._kafka(self._consumer.commit(offsets), _COMMIT_S)
            self._at_step("committed")

    async def _let_go(self) -> None:
        """Wait a little for what was begun, drop the rest, and tell the group what is done."""
        for task, work in self._tasks.items():
            if not isinstance(work, Outgoing) and not work.begun:
                task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_GRACE_S)
        late = list(self._tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        self._held.clear()
        self._held_of.clear()
        with contextlib.suppress(BrokerUnavailable):
            await self._commit()
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_WRITE_S):
                    await producer.stop()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
