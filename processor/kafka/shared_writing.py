"""One producer for many callers at once: their records share batches, and each waits for its own.

aiokafka keeps a future for each record, and a request of its own for each partition whose time has
come. Small requests of many callers cost less if all of them go in the same few batches.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeAlias

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from processor.config import Settings
from processor.core.partitions import partitions_of
from processor.errors import BrokerUnavailable
from processor.kafka.failures import TRANSACTION_ERRORS, unavailable
from processor.kafka.ports import RecordBatch
from processor.kafka.starting import start, stop
from processor.kafka.writing import Outgoing

_BATCH_BYTES = 1 << 16
_LINGER_S = 0.005
_LATE = "Kafka took too long"

Place: TypeAlias = tuple[str, int]  # a topic and its partition


class BatchProducer(Protocol):
    """The part of aiokafka's producer that is used here."""

    def create_batch(self) -> RecordBatch:
        """An empty batch."""
        ...

    async def send_batch(
        self, batch: RecordBatch, topic: str, *, partition: int
    ) -> asyncio.Future[object]:
        """Hand a batch over; the future ends when the broker has it, or will never have it."""
        ...


@dataclass(eq=False, slots=True)
class _Call:
    """A caller that waits."""

    fate: asyncio.Future[None]
    left: int  # records that are not written yet
    until_s: float  # by the loop's clock

    def written(self) -> None:
        self.left -= 1
        if not self.left and not self.fate.done():
            self.fate.set_result(None)

    def failed(self, why: BrokerUnavailable) -> None:
        if not self.fate.done():
            self.fate.set_exception(why)


_Queue: TypeAlias = deque[tuple[Outgoing, _Call]]


@dataclass(eq=False, slots=True)
class _Batch:
    """The records of one partition that are handed over together."""

    place: Place
    records: RecordBatch
    calls: list[_Call] = field(default_factory=list)  # one a record


class SharedWriter:
    """Writes many callers' records to the partitions of their keys, in order for each partition.

    A partition has one batch on its way at most, and its next records wait for that batch to be
    written. So batches grow with the load, and a broker that is away holds back no other's
    partitions.

    Args:
        producer: started, and not idempotent: it may give a batch up.
        partitions: of each topic.
        patience_s: the most that a caller waits; records not handed over by then never are.
        linger_s: for which the first record of a batch waits for others.
    """

    def __init__(
        self,
        producer: BatchProducer,
        partitions: int,
        *,
        patience_s: float,
        linger_s: float = _LINGER_S,
    ) -> None:
        self._producer = producer
        self._partitions = partitions
        self._patience_s = patience_s
        self._linger_s = linger_s
        self._loop = asyncio.get_running_loop()
        self._came: _Queue = deque()  # their partitions are not computed yet
        self._queues: defaultdict[Place, _Queue] = defaultdict(deque)
        self._on_their_way: set[Place] = set()
        self._waiting: deque[_Call] = deque()  # the first has least time left
        self._next: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def send_all(self, records: Sequence[Outgoing]) -> None:
        """Write records, and wait until the broker has all of them.

        Raises:
            BrokerUnavailable: it does not have all of them in time; it may have some.
        """
        if not records:
            return
        call = _Call(self._loop.create_future(), len(records), self._loop.time() + self._patience_s)
        self._came.extend((record, call) for record in records)
        self._waiting.append(call)
        self._continue()
        if self._look is None:
            self._look = self._loop.call_at(call.until_s, self._give_up)
        await call.fate

    def close(self) -> None:
        """Hand nothing more over; callers that still wait get an error."""
        for handle in (self._next, self._look):
            if handle is not None:
                handle.cancel()
        for task in self._tasks:
            task.cancel()
        for call in self._waiting:
            call.failed(BrokerUnavailable("this process ends"))

    def _continue(self) -> None:
        if self._next is None:
            self._next = self._loop.call_later(self._linger_s, self._hand_over)

    def _hand_over(self) -> None:
        """Hand over a batch for each partition that has records and no batch on its way."""
        self._next = None
        while self._waiting and self._waiting[0].fate.done():
            self._waiting.popleft()
        self._sort()
        by_topic: defaultdict[str, list[_Batch]] = defaultdict(list)
        for place in [one for one in self._queues if one not in self._on_their_way]:
            batch = self._batch_of(place)
            if batch.calls:
                self._on_their_way.add(place)
                by_topic[place[0]].append(batch)
        for topic, batches in by_topic.items():  # apart: the brokers may not know a topic
            task = self._loop.create_task(self._send(topic, batches))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _sort(self) -> None:
        """Put what came into the queues of its partitions."""
        places = partitions_of([one.key or b"" for one, _ in self._came], self._partitions)
        for each, place in zip(self._came, places, strict=True):
            at = each[0].partition
            self._queues[each[0].topic, place if at is None else at].append(each)
        self._came.clear()

    def _batch_of(self, place: Place) -> _Batch:
        """The next records of a partition; those whose caller has left are dropped."""
        queue, batch = self._queues[place], _Batch(place, self._producer.create_batch())
        while queue:
            record, call = queue[0]
            if not call.fate.done():
                # aiokafka takes no record that has neither, though a broker does.
                value = b"" if record.key is None and record.value is None else record.value
                headers = list(record.headers)
                if not batch.records.append(
                    timestamp=None, key=record.key, value=value, headers=headers
                ):
                    break
                batch.calls.append(call)
            queue.popleft()
        if not queue:
            del self._queues[place]
        batch.records.close()
        return batch

    async def _send(self, topic: str, batches: Iterable[_Batch]) -> None:
        for batch in batches:
            try:
                fate = await self._producer.send_batch(
                    batch.records, topic, partition=batch.place[1]
                )
            except (*TRANSACTION_ERRORS, AssertionError) as error:  # the last: no such partition
                self._settle(batch, error)
            else:
                fate.add_done_callback(partial(self._ended, batch))

    def _ended(self, batch: _Batch, fate: asyncio.Future[object]) -> None:
        if fate.cancelled():
            self._settle(batch, KafkaError("the producer was closed"))
        else:
            self._settle(batch, fate.exception())

    def _settle(self, batch: _Batch, error: BaseException | None) -> None:
        self._on_their_way.discard(batch.place)
        for call in batch.calls:
            if error is None:
                call.written()
            else:
                call.failed(unavailable(error))
        if batch.place in self._queues:
            self._continue()

    def _give_up(self) -> None:
        """Fail the callers whose time is over, and forget what was not handed over for them."""
        self._look, now_s = None, self._loop.time()
        while self._waiting and (self._waiting[0].fate.done() or self._waiting[0].until_s <= now_s):
            self._waiting.popleft().failed(BrokerUnavailable(_LATE))
        for place, queue in list(self._queues.items()):
            left = deque(each for each in queue if not each[1].fate.done())
            self._queues[place] = left
            if not left:
                del self._queues[place]
        if self._waiting:
            self._look = self._loop.call_at(self._waiting[0].until_s, self._give_up)


@asynccontextmanager
async def shared_writer(settings: Settings, *, patience_s: float) -> AsyncIterator[SharedWriter]:
    """A writer of this installation for many callers.

    Raises:
        BrokerUnavailable: the producer does not start.
    """
    producer = AIOKafkaProducer(
        **settings.kafka(),
        acks="all",
        # Not idempotent: a batch that is given up would leave a gap in the sequence.
        max_batch_size=_BATCH_BYTES,
    )
    try:
        await start(producer)
    except KafkaError as error:
        raise unavailable(error, settings.kafka_bootstrap) from error
    out = SharedWriter(producer, settings.partitions, patience_s=patience_s)
    try:
        yield out
    finally:
        out.close()
        await stop(producer)
