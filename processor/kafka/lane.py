"""One lane: one partition, exactly once, by one fenced transactional producer.

The steps are those of `processor/DESIGN.md`. aiokafka sends no group metadata with a transaction's
offsets, so the group does not fence a zombie; the partition's own transactional id does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import Any, Protocol, TypeVar

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from processor.config import Settings
from processor.errors import BrokerUnavailable, Fenced, RetryableError
from processor.kafka.flood import Flood

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_START_S = 30.0  # to take a partition's producer over, a predecessor's open transaction included
_COMMIT_S = 15.0  # below the broker's own time-out of a transaction
_TRANSACTION_TIMEOUT_MS = 20_000
_POLL_MS = 500
_BACKOFF_S = (0.05, 2.0)  # first, longest
_MAX_BATCH_BYTES = 1 << 19
_MAX_REQUEST_BYTES = 1 << 22

Headers = list[tuple[str, bytes]]  # a list: aiokafka's record builder takes nothing else


class Stage(Protocol):
    """What a lane does with the records of its partition; the lane does all the rest."""

    @property
    def waits_for(self) -> str | None:
        """What it waits for in the middle of its work, None where it works."""
        ...

    async def claim(self) -> None:
        """Step 1a: from here on no older owner can write what this stage writes."""
        ...

    async def recover(self, committed: Mapping[str, int]) -> None:
        """Steps 1d and 1e: settle what the last owner left, by source topic's committed offset."""
        ...

    async def process(self, records: Sequence[Any], out: Output) -> None:
        """Step 2: decide on records of all sources, in order, write, and put out the events."""
        ...

    async def last_look(self) -> bool:
        """Before the commit: False where what was put out no longer holds, to process again."""
        ...

    async def idle(self) -> None:
        """About once a second."""
        ...


class Output:
    """The records of one batch for one partition of several topics, not sent yet."""

    def __init__(self, producer: Any, partition: int) -> None:
        self._producer = producer
        self._partition = partition
        self._open: dict[str, Any] = {}
        self._full: list[tuple[str, Any]] = []
        self.refused = 0  # records that were put aside as dead letters

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        return bool(self._open or self._full)

    def put(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None = None
    ) -> None:
        """Add a record to the batch of its topic."""
        builder = self._open.get(topic)
        if builder is None:
            builder = self._open[topic] = self._producer.create_batch()
        headers = headers or []
        if builder.append(key=key, value=value, timestamp=None, headers=headers) is None:
            self._full.append((topic, builder))
            builder = self._open[topic] = self._producer.create_batch()
            builder.append(key=key, value=value, timestamp=None, headers=headers)

    async def send(self) -> None:
        """Send everything, and await the fate of every batch: a failed one fails no commit."""
        fates = []
        for topic, builder in (*self._full, *self._open.items()):
            builder.close()
            fates.append(await self._producer.send_batch(builder, topic, partition=self._partition))
        await asyncio.gather(*fates)


@dataclass(frozen=True, slots=True)
class LaneState:
    """How a lane is, for health and the watchdog."""

    partition: int
    doing: str  # "taking", "running", or what it waits for
    progressed_at: float  # when it last finished a batch, monotonic seconds
    next_offsets: Mapping[TopicPartition, int]  # the first not processed yet, by source


class Lane:
    """Owns one partition from its assignment to its revocation.

    Args:
        settings: of the clients.
        group: the consumer group; with the partition it makes the transactional id.
        consumer: the group's started aiokafka consumer.
        sources: this partition of each source topic.
        stage: what is done with the records.
        at_step: called with the name of each step as it is reached; crash tests kill there.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        group: str,
        consumer: Any,
        sources: Sequence[TopicPartition],
        stage: Stage,
        at_step: Callable[[str], None] = lambda step: None,
    ) -> None:
        self.partition: int = sources[0].partition
        self._settings = settings
        self._group = group
        self._consumer = consumer
        self._sources = list(sources)
        self._stage = stage
        self._at_step = at_step
        self._flood = Flood(settings.dead_letter_limit)
        self._stop = asyncio.Event()
        self._producer: Any = None
        self._in_transaction = False
        self._next: dict[TopicPartition, int] = {}  # the first offset not processed yet
        self._uncommitted: set[TopicPartition] = set()
        self._committed_at = 0.0
        self._doing = "taking"
        self._progressed_at = time.monotonic()

    @property
    def state(self) -> LaneState:
        """A look from outside."""
        doing = self._stage.waits_for or self._doing
        return LaneState(self.partition, doing, self._progressed_at, self._next)

    def stop(self) -> None:
        """Ask the lane to finish the batch in hand and end."""
        self._stop.set()

    async def run(self) -> None:
        """Take the partition and work until stopped, again from the first step at any failure.

        Raises:
            Fenced: another process owns the partition; leave the group before trying again.
        """
        wait_s = _BACKOFF_S[0]
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                await self._take()
                await self._work()
            except _Stopped:
                pass
            except Fenced:
                raise
            except Exception as error:
                expected = isinstance(error, RetryableError)
                self._doing = str(error) if expected else type(error).__name__
                logger.warning(
                    "lane.failed",
                    extra={"group": self._group, "partition": self.partition, "why": self._doing},
                    exc_info=None if expected else error,
                )
                if time.monotonic() - began > 2 * _BACKOFF_S[1]:
                    wait_s = _BACKOFF_S[0]
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), wait_s)
                wait_s = min(2 * wait_s, _BACKOFF_S[1])
            finally:
                await self._let_go()

    async def _take(self) -> None:
        self._doing = "taking"
        self._next, self._uncommitted = {}, set()
        self._at_step("claim")
        await self._unless_stopped(self._stage.claim())
        self._at_step("producer")
        producer = AIOKafkaProducer(
            **self._settings.kafka(),
            transactional_id=f"{self._group}-{self.partition}",
            transaction_timeout_ms=_TRANSACTION_TIMEOUT_MS,
            retry_backoff_ms=5,
            linger_ms=0,
            max_batch_size=_MAX_BATCH_BYTES,
            max_request_size=_MAX_REQUEST_BYTES,
        )
        self._producer = producer
        # Not given up for a stop: an initialisation cut off half-way helps nobody.
        await self._kafka(producer.start(), _START_S)
        self._at_step("committed")
        committed = {
            tp: await self._unless_stopped(self._kafka(self._consumer.committed(tp), _START_S))
            for tp in self._sources
        }
        first = {
            tp: await self._unless_stopped(self._first_offset(tp)) if offset is None else offset
            for tp, offset in committed.items()
        }
        self._at_step("recover")
        await self._unless_stopped(
            self._stage.recover({tp.topic: offset for tp, offset in first.items()})
        )
        # What was handed out before this point is dropped here, and read again.
        for tp, offset in first.items():
            self._consumer.seek(tp, offset)
        self._next = first
        logger.info(
            "lane.taken",
            extra={
                "group": self._group,
                "partition": self.partition,
                "offsets": ",".join(map(str, first.values())),
            },
        )

    async def _first_offset(self, tp: TopicPartition) -> int:
        # Never committed: from the beginning, where the group must not lose what waits for it.
        return int((await self._consumer.beginning_offsets([tp]))[tp])

    async def _work(self) -> None:
        self._doing = "running"
        looked_at = time.monotonic()
        while not self._stop.is_set():
            # Small transactions are what costs: under load, let records gather between two. A lane
            # that was idle does not wait.
            early_s = self._committed_at + self._settings.batch_wait_ms / 1000 - time.monotonic()
            if early_s > 0:
                await self._unless_stopped(asyncio.sleep(early_s))
            if found := await self._unless_stopped(self._next_records()):
                await self._batch(found)
            now = time.monotonic()
            if self._uncommitted and now - self._committed_at >= 1:
                await self._commit(None)
            if now - looked_at >= 1:
                looked_at = now
                await self._unless_stopped(self._stage.idle())
        if self._uncommitted:
            await self._commit(None)

    async def _next_records(self) -> Mapping[TopicPartition, list[Any]]:
        found: Mapping[TopicPartition, list[Any]] = await self._consumer.getmany(
            *self._sources, timeout_ms=_POLL_MS, max_records=self._settings.batch_records
        )
        return {tp: records for tp, records in found.items() if records}

    async def _batch(self, found: Mapping[TopicPartition, list[Any]]) -> None:
        records = next(iter(found.values()))
        if len(found) > 1:
            # Sources take their places by arrival; each keeps its own order.
            records = list(merge(*found.values(), key=lambda record: record.timestamp))
        ends = {tp: records[-1].offset + 1 for tp, records in found.items()}
        while True:
            out = Output(self._producer, self.partition)
            self._at_step("process")
            await self._unless_stopped(self._stage.process(records, out))
            self._flood.check(len(records), out.refused)
            self._next.update(ends)
            self._uncommitted.update(ends)
            # A batch that puts out nothing needs no transaction: its offset goes with a later one.
            if not out or await self._commit(out):
                break
        self._flood.add(len(records), out.refused)
        self._progressed_at = time.monotonic()

    async def _commit(self, out: Output | None) -> bool:
        """Steps 3 to 5: outputs and offsets in one transaction; False where it must be redone."""
        return await self._kafka(self._transaction(out), _COMMIT_S)

    async def _transaction(self, out: Output | None) -> bool:
        producer = self._producer
        self._at_step("begin")
        await producer.begin_transaction()
        self._in_transaction = True
        # Offsets first: it keeps the broker from answering the first batch with a retry.
        offsets = {tp: OffsetAndMetadata(self._next[tp], "") for tp in self._uncommitted}
        await producer.send_offsets_to_transaction(offsets, self._group)
        if out:
            self._at_step("emit")
            await out.send()
            self._at_step("last_look")
            if not await self._stage.last_look():
                await producer.abort_transaction()
                self._in_transaction = False
                return False
        self._at_step("commit")
        await producer.commit_transaction()
        self._in_transaction = False
        self._at_step("committed_batch")
        self._uncommitted = set()
        self._committed_at = time.monotonic()
        return True

    async def _let_go(self) -> None:
        """Step 6: abort what did not finish, or readers wait for it; then drop the producer."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(_COMMIT_S):
                if self._in_transaction:
                    await producer.abort_transaction()
        except Exception as error:
            # A broken or fenced producer cannot abort; the next owner's start settles it.
            logger.info("lane.not_aborted", extra={"why": type(error).__name__})
        finally:
            self._in_transaction = False
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_COMMIT_S):
                    await producer.stop()

    async def _kafka(self, waiting: Awaitable[_T], timeout_s: float) -> _T:
        """Await Kafka with a deadline, in our own errors; past it the outcome is unknown."""
        try:
            async with asyncio.timeout(timeout_s):
                return await waiting
        except ProducerFenced as error:
            raise Fenced("another process took the partition's transactional id") from error
        except AssertionError as error:
            # aiokafka's producer after it was fenced: its state is final.
            raise Fenced("the producer was fenced before") from error
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailable(f"Kafka: {type(error).__name__}") from error

    async def _unless_stopped(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Await work, or give it up as soon as the lane is asked to stop.

        ``getmany`` waits as long as a rebalance runs, which waits for us; Redis may not answer.
        """
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise _Stopped
        finally:
            stopped.cancel()
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task


class _Stopped(Exception):
    """The lane was asked to stop while it waited."""
