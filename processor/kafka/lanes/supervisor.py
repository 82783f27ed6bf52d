"""One member of a consumer group, and a lane for each partition that the group assigns to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from processor.config import Settings
from processor.errors import Fenced
from processor.kafka.connections import Client
from processor.kafka.failures import in_words
from processor.kafka.lanes.exactly_once import Lane
from processor.kafka.lanes.lane_state import LaneState
from processor.kafka.lanes.membership import Membership
from processor.kafka.lanes.partition_lane import (
    START_S,
    LaneContext,
    PartitionLane,
    Waits,
    given_up,
)
from processor.kafka.lanes.shared_transactions import SharedTransactions
from processor.kafka.lanes.source_reader import SourceReader
from processor.kafka.offset_protocol import log_ends
from processor.kafka.protocol import topics_now
from processor.kafka.starting import start, stop, to_its_end
from processor.metrics import LaneMetrics

logger = logging.getLogger(__name__)

_LET_GO_S = 1.0  # for a batch in hand; the next owner undoes it if it takes longer
_END_S = 8.0  # for what was not finished to be aborted, as the process ends
_ASK_AGAIN_S = 0.1
_LAG_S = 10.0
_SILENT_S = 60.0
_TAKES = 16  # at a time; each makes some clients of Kafka
_REJOIN_S = (0.1, 2.0)  # first, longest
_WELL_S = 5.0  # a member for so long begins with the first again


async def _nothing() -> None:
    pass


class Lanes:
    """Keeps this process a member of one group, with a running lane for every partition it gets.

    Args:
        settings: of the clients.
        group: the consumer group.
        topics: the source topics; partitions with the same number belong to one lane.
        outputs: see ``Positions``.
        stage: makes the stage of a partition.
        metrics: of the role.
        lane: works a stage; exactly once by default.
        prepared: waited for first: a member that is not ready would keep its partitions waiting.
        at_step: see ``Lane``.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        group: str,
        topics: Sequence[str],
        outputs: Sequence[str],
        stage: Callable[[int], Waits],
        metrics: LaneMetrics,
        lane: type[PartitionLane[Any]] = Lane,
        prepared: Callable[[], Awaitable[None]] = _nothing,
        at_step: Callable[[str], None] = lambda step: None,
    ) -> None:
        self._settings = settings
        self._group = group
        self._topics = list(topics)
        self._outputs = outputs
        self._stage = stage
        self._metrics = metrics
        self._lane = lane
        self._prepared = prepared
        self.at_step = at_step
        self._takes = asyncio.Semaphore(_TAKES)
        self._stop = asyncio.Event()
        self._rejoin = asyncio.Event()
        self._lanes: dict[int, tuple[PartitionLane[Any], asyncio.Task[None]]] = {}
        self._behind: set[asyncio.Task[None]] = set()  # work that no lane waits for
        self._shared = SharedTransactions(settings, group, metrics, self._go_on_behind)
        self._member: Membership | None = None
        self._reader: SourceReader | None = None
        self._assigned_as = ("", -1)  # the member's id, and the generation of the group
        self._names = [*topics, *outputs]
        self._excused_at: dict[int, float] = {}  # see ``_well_at``; partition to monotonic seconds
        # Whether Kafka answers this member, at every check; monotonic seconds.
        self._answers_since: float | None = None
        self._silent_since: float | None = None
        self.joined = False
        self.lags: dict[int, int] = {}  # partition to records not handled, as last looked at
        self.failed: str | None = None  # why it failed to join, where it did
        self.unfit: str | None = None  # why no lane may work until the process restarts

    @property
    def unheard(self) -> bool:
        """Whether Kafka did not answer this member's last request."""
        return self.joined and self._silent_since is not None

    async def stuck(self, after_s: float, *, redis_since: float | None) -> list[LaneState]:
        """Lanes that do no work here, and should move to another worker.

        A running lane is stuck if it has had records to read, but finished none for so long. Any
        other lane is stuck if it has not started running. Only time in which this process reached
        Kafka and Redis counts, and no time in which all workers would wait.

        Args:
            after_s: how long.
            redis_since: since when Redis has answered every check, monotonic seconds.
        """
        states = self.states()
        now = time.monotonic()
        try:
            async with asyncio.timeout(_LAG_S):
                topics = await to_its_end(topics_now(self._client(), self._names))
        except (KafkaError, TimeoutError):
            # No broker to ask, or no member: no lane can make progress.
            self._is_silent(now)
            return []
        self._answers_since, self._silent_since = self._answers_since or now, None
        ids = {name: topic.id for name, topic in topics.items() if not topic.error}
        for partition, (lane, _) in list(self._lanes.items()):
            if lane.reads_other_than(ids):
                logger.error(
                    "group.topic_replaced", extra={"group": self._group, "partition": partition}
                )
                self._take(partition)  # the new lane finds out whether it may go on
        led = frozenset.intersection(*(topic.led for topic in topics.values()))
        self.lags = await self._lags([state for state in states if state.partition in led])
        for state in states:
            idle = not state.is_running or not self.lags.get(state.partition)
            if state.partition not in led or (state.ill_since is None and idle):
                self._excused_at[state.partition] = now
        if redis_since is None:
            return []
        servers_since = max(self._answers_since, redis_since)
        return [one for one in states if now - max(servers_since, self._well_at(one)) > after_s]

    def _well_at(self, state: LaneState) -> float:
        """When a lane was last well, or last had a reason to wait that every worker would have."""
        at = state.progressed_at if state.ill_since is None else state.ill_since
        return max(at, self._excused_at.get(state.partition, 0.0))

    async def _lags(self, states: Sequence[LaneState]) -> dict[int, int]:
        """Uncommitted records, by partition; empty if Kafka does not answer."""
        sources = [tp for state in states for tp in state.next_offsets]
        try:
            async with asyncio.timeout(_LAG_S):
                ends = await to_its_end(log_ends(self._client(), sources))
        except (KafkaError, TimeoutError):
            return {}
        return {
            state.partition: sum(
                max(0, ends[tp] - offset) for tp, offset in state.next_offsets.items()
            )
            for state in states
        }

    def _is_silent(self, now: float) -> None:
        """Kafka did not answer; after a minute of silence, try a new consumer."""
        self.lags = {}
        self._answers_since, self._silent_since = None, self._silent_since or now
        if self.joined and now - self._silent_since > _SILENT_S:
            logger.warning("group.unheard", extra={"group": self._group})
            self._silent_since = now
            self._rejoin.set()

    def _client(self) -> Client:
        if self._member is None:
            raise KafkaConnectionError("no member")
        return self._member.client

    async def hand_over(self) -> None:
        """Leave the group at once; the next owners undo all unfinished work."""
        if self._member is not None:
            await self._member.leave()

    def states(self) -> list[LaneState]:
        """The state of every lane of this process."""
        return [lane.state for lane, _ in self._lanes.values()]

    def stop(self) -> None:
        """Ask to finish the current work, commit it and leave the group."""
        self._stop.set()

    async def run(self) -> None:
        """Be a member until stopped; rejoin after any failure, with back-off."""
        wait_s = _REJOIN_S[0]
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                await self._be_member()
            except Exception as error:
                self.failed = in_words(error)
                logger.warning("group.failed", extra={"group": self._group, "why": self.failed})
            if time.monotonic() - began > _WELL_S:
                wait_s = _REJOIN_S[0]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), wait_s * random.uniform(0.5, 1))
            wait_s = min(2 * wait_s, _REJOIN_S[1])
        if self._behind:
            await asyncio.wait(self._behind, timeout=_END_S)

    async def _be_member(self) -> None:
        self._rejoin.clear()
        reader = SourceReader(self._settings, self._topics)
        member = Membership(
            self._settings,
            group=self._group,
            topics=self._topics,
            revoked=lambda: self.at_step("revoked"),
            assigned=self.assign,
        )
        waits = [asyncio.ensure_future(event.wait()) for event in (self._stop, self._rejoin)]
        being = asyncio.ensure_future(self._be(member, reader))
        try:
            await asyncio.wait((*waits, being), return_when=asyncio.FIRST_COMPLETED)
            if being.done():
                being.result()
        finally:
            self._member, self._reader, self.joined = None, None, False
            for task in (*waits, being):
                await given_up(task)
            if self._lane.is_fenced:  # the next owner waits for what is in hand
                await asyncio.gather(self.let_go(), stop(member))
            else:
                await self.let_go()
                await stop(member)
            await self._shared.close()
            await reader.close()

    async def _be(self, member: Membership, reader: SourceReader) -> None:
        await self._prepared()
        await reader.start()
        if self._lane.is_fenced:
            # Now, as a partition that moves here must not wait for it.
            async with asyncio.timeout(START_S):
                await self._shared.name()
        self._member, self._reader = member, reader
        await start(member)
        watches = [asyncio.ensure_future(one.watch()) for one in (member, reader)]
        try:
            await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
            for watch in watches:
                if watch.done():
                    watch.result()
        finally:
            for watch in watches:
                await given_up(watch)

    async def let_go(self) -> None:
        """End every lane; work in progress gets a second to finish."""
        ending = [self._end(partition) for partition in list(self._lanes)]
        if ending:
            await asyncio.wait(ending, timeout=_LET_GO_S)

    def _end(self, partition: int) -> asyncio.Task[None]:
        """End a lane, and wait for nothing; the next owner of the partition fences it."""
        self.at_step("letting_go")
        lane, task = self._lanes.pop(partition)
        lane.stop()

        async def end() -> None:
            await asyncio.wait((task,), timeout=_LET_GO_S)
            task.cancel()
            await asyncio.wait((task,))

        self._go_on_behind(end())
        return task

    def _go_on_behind(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    def assign(self, assigned: Iterable[TopicPartition]) -> None:
        """Work these partitions from now on; lanes that run already continue.

        No lane works if the topics have another number of partitions than expected.
        """
        member = self._member
        # A rebalance may end while we leave. Lanes of a former member would do no work, and would
        # fence the lanes that do.
        if member is None:
            return
        self.at_step("assigned")
        self.joined, self.failed = True, None
        partitions = self._fit({tp.partition for tp in assigned}, member.partition_counts())
        # If the group dropped this member, others have had its partitions meanwhile; if it missed
        # a generation, others may have. A lane whose producer is fenced notices that by itself.
        before, self._assigned_as = self._assigned_as, (member.id, member.generation)
        is_known = before[0] == member.id
        is_next = before == (member.id, member.generation - 1)
        stay = is_next or (is_known and self._lane.is_fenced)
        for partition in list(self._lanes):
            if partition not in partitions or not stay:
                self._end(partition)
        for partition in partitions - self._lanes.keys():
            self._take(partition)
        member.owns(self._lanes)
        logger.info(
            "group.assigned",
            extra={
                "group": self._group,
                "generation": member.generation,
                "partitions": ",".join(map(str, sorted(partitions))),
            },
        )

    def _fit(self, partitions: set[int], counts: Mapping[str, int]) -> set[int]:
        """The partitions, or none if a topic has another number of them; 0 means unknown."""
        for topic, count in counts.items():
            if count not in (0, self._settings.partitions):
                self.unfit = (
                    f"{topic}: {count} partitions where {self._settings.partitions} are expected; "
                    "records of one recipient may be in two of them"
                )
                logger.error("group.unfit", extra={"group": self._group, "why": self.unfit})
                return set()
        return partitions

    def _take(self, partition: int) -> None:
        """Start a lane, and end the current lane of the partition."""
        assert self._member is not None
        assert self._reader is not None
        if partition in self._lanes:
            self._end(partition)
        context = LaneContext(
            settings=self._settings,
            group=self._group,
            member=self._member,
            reader=self._reader,
            shared=self._shared,
            sources=[TopicPartition(topic, partition) for topic in self._topics],
            outputs=self._outputs,
            metrics=self._metrics,
            at_step=self.at_step,
            takes=self._takes,
            behind=self._go_on_behind,
        )
        lane = self._lane(context, self._stage(partition))
        task = asyncio.get_running_loop().create_task(lane.run(), name=f"{self._group}-{partition}")
        self._lanes[partition] = lane, task
        task.add_done_callback(partial(self._ended, partition))

    def _ended(self, partition: int, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if self._lanes.get(partition, (None, None))[1] is not task:
            return  # it was to end, and whoever has the partition now may have fenced it
        level = logging.WARNING if isinstance(error, Fenced) else logging.ERROR
        logger.log(level, "lane.ended", extra={"lane": task.get_name(), "why": str(error)})
        self._go_on_behind(self._take_again(partition, task))

    async def _take_again(self, partition: int, ended: asyncio.Task[None]) -> None:
        """Restart a fenced lane, if the group confirms that the partition is ours.

        Where it is rebalancing, or does not know us, another assignment follows.
        """

        def is_it() -> bool:
            return self._lanes.get(partition, (None, None))[1] is ended

        while is_it() and self._member is not None:
            await asyncio.sleep(_ASK_AGAIN_S)
            if self._member is not None and await self._member.is_current() and is_it():
                self._take(partition)
