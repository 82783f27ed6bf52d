"""The common part of every lane: process one partition from its assignment until its release."""

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

from processor.config import Settings
from processor.errors import Fenced, PositionRefused, RetryableError
from processor.kafka.failures import OF_KAFKA, in_our_words
from processor.kafka.groups import committed_of
from processor.kafka.lanes.fault_limit import Faults
from processor.kafka.lanes.lane_state import Doing, LaneState
from processor.kafka.lanes.membership import Membership
from processor.kafka.lanes.position_rules import Position
from processor.kafka.lanes.positions import Positions
from processor.kafka.lanes.shared_transactions import SharedTransactions
from processor.kafka.lanes.source_reader import Reading, SourceReader
from processor.kafka.starting import to_its_end
from processor.metrics import LaneMetrics

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
Behind = Callable[[Coroutine[object, object, None]], None]
START_S = 10.0  # to take a partition's producer over, a predecessor's open transaction included
_BACKOFF_S = (0.05, 1.0)  # first, longest
_TURN_S = 5.0  # to be taken; then the next one begins as well
_PERSON_S = 10.0  # between two looks where a person must act


class Waits(Protocol):
    """A stage that can name what it waits for."""

    @property
    def waits_for(self) -> str | None:
        """The thing it waits for in the middle of its work, None while it works."""
        ...


S = TypeVar("S", bound=Waits)


class Stopped(Exception):
    """The lane was asked to stop while it waited."""


async def given_up(task: asyncio.Future[_T]) -> None:
    """End a task that is not needed any more, whatever its result."""
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # seen, or asyncio logs it


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneContext:
    """The partition of a lane, and what it shares with the other lanes of its group."""

    settings: Settings
    group: str
    member: Membership
    reader: SourceReader
    shared: SharedTransactions
    sources: Sequence[TopicPartition]  # this partition of each source topic
    outputs: Sequence[str]  # see ``Positions``
    metrics: LaneMetrics  # of the role
    at_step: Callable[[str], None]  # called with each step reached; crash tests kill there
    takes: asyncio.Semaphore  # so many lanes take their partitions at a time
    behind: Behind  # has work done that no partition should wait for


class PartitionLane(ABC, Generic[S]):
    """Takes its partition and works until it is stopped; after a failure it takes it again.

    Args:
        context: its partition and clients.
        stage: processes the records.
    """

    is_fenced: bool  # whether a lane elsewhere stops this lane by taking the partition

    def __init__(self, context: LaneContext, stage: S) -> None:
        self.partition: int = context.sources[0].partition
        self._settings = context.settings
        self._group = context.group
        self._member = context.member
        self._reader = context.reader
        self._sources = list(context.sources)
        self._positions = Positions(context.member.client, self._sources, context.outputs)
        self._reading: Reading | None = None
        self._stage = stage
        self._metrics = context.metrics
        self._at_step = context.at_step
        self._takes = context.takes
        self._behind = context.behind
        self._faults = Faults()
        self._stop = asyncio.Event()
        self._scopes: dict[asyncio.Timeout, float] = {}  # work to break off, with its grace in s
        self._producer: Any = None
        self._doing = Doing.TAKING
        self._reason: str | None = None  # why it does not run, in words
        self._progressed_at = time.monotonic()
        self._ill_since: float | None = None

    @property
    def state(self) -> LaneState:
        """The lane's current state."""
        waits_for = self._stage.waits_for
        return LaneState(
            self.partition,
            Doing.WAITING if waits_for else self._doing,
            self._progressed_at,
            self._next_offsets(),
            None if waits_for else self._ill_since,
            waits_for or self._reason,
        )

    def _enter(self, doing: Doing, reason: str | None = None) -> None:
        self._doing, self._reason = doing, reason

    def _is_well(self) -> None:
        """The lane works: earlier failures are over."""
        self._ill_since = None

    def reads_other_than(self, ids: Mapping[str, str]) -> bool:
        """Whether a topic was deleted and created again, so that its id differs from that read."""
        return any(ids.get(topic, id_) != id_ for topic, id_ in self._positions.topic_ids.items())

    def stop(self) -> None:
        """Ask the lane to finish its current work and end."""
        self._stop.set()
        for scope in self._scopes:
            self._end(scope)

    async def run(self) -> None:
        """Take the partition and work until stopped; after a failure, start at the first step.

        Raises:
            Fenced: another process took the partition; check whether it owns it.
        """
        wait_s = _BACKOFF_S[0]
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                await self._take_in_turn()
                await self._work()
            except Stopped:
                pass
            except Fenced as error:
                self._metrics.failed(error)
                self._enter(Doing.FENCED)
                self._ill_since = self._ill_since or time.monotonic()
                raise
            except Exception as error:
                self._failed(error)
                if time.monotonic() - began > 2 * _BACKOFF_S[1]:
                    wait_s = _BACKOFF_S[0]
                pause_s = _PERSON_S if isinstance(error, PositionRefused) else wait_s
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), pause_s)
                wait_s = min(2 * wait_s, _BACKOFF_S[1])
            finally:
                await self._let_go()

    async def _take_in_turn(self) -> None:
        """Take turns: hundreds of lanes at once would make each other's requests time out."""
        self._enter(Doing.QUEUED)
        await self._unless_stopped(self._takes.acquire())
        turn = contextlib.ExitStack()
        turn.callback(self._takes.release)
        # A lane that waits for a server, or rebuilds the list, must not keep others waiting.
        over = asyncio.get_running_loop().call_later(_TURN_S, turn.close)
        try:
            self._ill_since = self._ill_since or time.monotonic()
            await self._take()
        finally:
            over.cancel()
            turn.close()

    def _failed(self, error: Exception) -> None:
        self._metrics.failed(error)
        expected = error if isinstance(error, RetryableError) else None
        reason = str(error) if expected else type(error).__name__
        self._enter(Doing.FAILED, reason)
        if expected and expected.everywhere:
            self._ill_since = None
        logger.log(
            logging.ERROR if isinstance(error, PositionRefused) else logging.WARNING,
            "lane.failed",
            extra={"group": self._group, "partition": self.partition, "why": reason},
            exc_info=None if expected else error,
        )

    @abstractmethod
    async def _take(self) -> None:
        """Prepare everything up to the first record; nothing of an earlier owner may interfere."""

    @abstractmethod
    async def _work(self) -> None:
        """Read and process until stopped."""

    @abstractmethod
    async def _let_go(self) -> None:
        """Settle open work and drop the producer; after a failure, too."""

    @abstractmethod
    def _next_offsets(self) -> Mapping[TopicPartition, int]:
        """The first offset that is not processed yet, by source."""

    async def _take_positions(self) -> dict[TopicPartition, Position]:
        """Read the group's positions from the broker, and check them.

        Raises:
            PositionRefused: a position is not credible.
        """
        asked = committed_of(self._member, self._sources, stable=True)
        committed = await self._unless_stopped(self._kafka(asked, START_S))
        taken = to_its_end(self._positions.take(committed))
        return await self._unless_stopped(self._kafka(taken, START_S))

    def _read_from(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._reading = self._reader.read(offsets)
        logger.info(
            "lane.taken",
            extra={
                "group": self._group,
                "partition": self.partition,
                "offsets": ",".join(map(str, offsets.values())),
            },
        )

    def _read_no_more(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    async def _kafka(self, waiting: Awaitable[_T], timeout_s: float) -> _T:
        """Await Kafka with a deadline, past which the outcome is unknown; raise our own errors."""
        try:
            async with asyncio.timeout(timeout_s):
                return await waiting
        except OF_KAFKA as error:
            raise in_our_words(error, self._producer) from error

    async def _unless_stopped(
        self, work: Coroutine[object, object, _T], *, grace_s: float = 0
    ) -> _T:
        """Await work, or cancel it as soon as the lane is asked to stop.

        ``getmany`` waits during a rebalance, which waits for us; Redis may not answer.

        Args:
            work: may take too long.
            grace_s: extra time after the stop, because cancelling would waste a nearly done batch.
        """
        # A scope, not a task: lanes wait some thousand times a second.
        try:
            async with asyncio.timeout(None) as scope:
                self._scopes[scope] = grace_s
                if self._stop.is_set():
                    self._end(scope)
                return await work
        except Exception:
            if scope.expired():
                raise Stopped from None
            raise
        finally:
            del self._scopes[scope]

    def _end(self, scope: asyncio.Timeout) -> None:
        scope.reschedule(asyncio.get_running_loop().time() + self._scopes[scope])
