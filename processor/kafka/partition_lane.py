"""What every lane is: one partition, worked from its assignment until it is let go."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from processor.config import Settings
from processor.errors import BrokerUnavailable, Fenced, RetryableError
from processor.kafka.client import committed_of
from processor.kafka.failures import TRANSACTION_ERRORS, in_words
from processor.kafka.faults import Faults
from processor.metrics import LaneMetrics

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
START_S = 30.0  # to take a partition's producer over, a predecessor's open transaction included
_BACKOFF_S = (0.05, 2.0)  # first, longest


@dataclass(frozen=True, slots=True)
class LaneState:
    """How a lane is, for health and the watchdog."""

    partition: int
    doing: str  # "taking", "running", or what it waits for
    progressed_at: float  # when it last finished something, monotonic seconds
    next_offsets: Mapping[TopicPartition, int]  # the first not processed yet, by source


class Waits(Protocol):
    """A stage that can say what it waits for."""

    @property
    def waits_for(self) -> str | None:
        """What it waits for in the middle of its work, None where it works."""
        ...


S = TypeVar("S", bound=Waits)


class Stopped(Exception):
    """The lane was asked to stop while it waited."""


async def given_up(task: asyncio.Future[Any]) -> None:
    """End a task that is not needed any more, whatever it comes to."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # seen, or asyncio logs it


class PartitionLane(ABC, Generic[S]):
    """Takes its partition and works until it is stopped, anew after every failure.

    Args:
        settings: of the clients.
        group: the consumer group.
        consumer: the group's started aiokafka consumer.
        sources: this partition of each source topic.
        stage: what is done with the records.
        metrics: of the role.
        at_step: called with the name of each step as it is reached; crash tests kill there.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        group: str,
        consumer: Any,
        sources: Sequence[TopicPartition],
        stage: S,
        metrics: LaneMetrics,
        at_step: Callable[[str], None],
    ) -> None:
        self.partition: int = sources[0].partition
        self._settings = settings
        self._group = group
        self._consumer = consumer
        self._sources = list(sources)
        self._stage = stage
        self._metrics = metrics
        self._at_step = at_step
        self._faults = Faults()
        self._stop = asyncio.Event()
        self._producer: Any = None
        self._doing = "taking"
        self._progressed_at = time.monotonic()

    @property
    def state(self) -> LaneState:
        """A look from outside."""
        doing = self._stage.waits_for or self._doing
        return LaneState(self.partition, doing, self._progressed_at, self._next_offsets())

    def stop(self) -> None:
        """Ask the lane to finish what is in hand and end."""
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
            except Stopped:
                pass
            except Fenced as error:
                self._metrics.failed(error)
                raise
            except Exception as error:
                self._metrics.failed(error)
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

    @abstractmethod
    async def _take(self) -> None:
        """From the claim to the first record: nothing of an earlier owner's may be in the way."""

    @abstractmethod
    async def _work(self) -> None:
        """Read and process until stopped."""

    @abstractmethod
    async def _let_go(self) -> None:
        """Settle what is open and drop the producer; after a failure, too."""

    @abstractmethod
    def _next_offsets(self) -> Mapping[TopicPartition, int]:
        """The first offset that is not processed yet, by source."""

    async def _read_committed(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """Where the group is, fresh from the broker, with what was noted there.

        Never committed: from the beginning, where the group must not lose what waits for it.
        """
        asked = committed_of(self._consumer, self._sources)
        found = await self._unless_stopped(self._kafka(asked, START_S))
        new = [tp for tp in self._sources if tp not in found]
        first = await self._unless_stopped(self._consumer.beginning_offsets(new)) if new else {}
        return {
            tp: OffsetAndMetadata(first[tp], "") if tp in first else found[tp]
            for tp in self._sources
        }

    def _seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read on from there: what was handed out before this point is dropped, and read again."""
        for tp, offset in offsets.items():
            self._consumer.seek(tp, offset)
        logger.info(
            "lane.taken",
            extra={
                "group": self._group,
                "partition": self.partition,
                "offsets": ",".join(map(str, offsets.values())),
            },
        )

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
        except (*TRANSACTION_ERRORS, OSError, TimeoutError) as error:
            raise BrokerUnavailable(in_words(error)) from error

    async def _unless_stopped(self, work: Coroutine[Any, Any, _T], *, grace_s: float = 0) -> _T:
        """Await work, or give it up as soon as the lane is asked to stop.

        ``getmany`` waits as long as a rebalance runs, which waits for us; Redis may not answer.

        Args:
            work: what may take too long.
            grace_s: to end all the same, as giving it up would cost a batch that is all but done.
        """
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
            if grace_s and not task.done():
                await asyncio.wait((task,), timeout=grace_s)
            if task.done():
                return task.result()
            raise Stopped
        finally:
            stopped.cancel()
            await given_up(task)
