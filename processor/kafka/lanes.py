"""Who owns which partition: one member of a consumer group, and a lane for each partition of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError

from processor.config import Settings
from processor.errors import BrokerUnavailable, Fenced
from processor.kafka.failures import in_words
from processor.kafka.lane import Lane
from processor.kafka.partition_lane import LaneState, PartitionLane, Waits
from processor.kafka.protocol import LeaveGroup, topics_now
from processor.kafka.starting import start, stop, to_its_end
from processor.metrics import LaneMetrics

logger = logging.getLogger(__name__)

_REBALANCE_MS = 30_000
_IDLE_MS = 24 * 3_600_000  # lanes may wait long for Redis; the watchdog is our own
_LET_GO_S = 20.0
_HEARTBEAT_MS = 250  # at most: it is how members hear of a rebalance, which waits for the last
_FETCH_WAIT_MS = 100  # what a lane asks while it is taken stands in line behind a fetch
_METADATA_MS = 30_000  # until a topic that was given more partitions is noticed
_LAG_S = 10.0
_SILENT_S = 60.0
_TAKES = 16  # at a time; each makes some clients of Kafka
_LEAVE_S = 2.0
_REJOIN_S = (0.5, 10.0)


class Lanes:
    """Keeps this process a member of one group, with a running lane for every partition it gets.

    Args:
        settings: of the clients.
        group: the consumer group.
        topics: the source topics; their partitions of one number belong to one lane.
        outputs: see ``Positions``.
        stage: makes the stage of a partition.
        metrics: of the role.
        lane: makes the lane of a stage; exactly once unless told otherwise.
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
        lane: Callable[..., PartitionLane[Any]] = Lane,
        at_step: Callable[[str], None] = lambda step: None,
    ) -> None:
        self._settings = settings
        self._group = group
        self._topics = list(topics)
        self._outputs = outputs
        self._stage = stage
        self._metrics = metrics
        self._lane = lane
        self.at_step = at_step
        self._takes = asyncio.Semaphore(_TAKES)
        self._stop = asyncio.Event()
        self._rejoin = asyncio.Event()
        self._lanes: dict[int, tuple[PartitionLane[Any], asyncio.Task[None]]] = {}
        self._consumer: Any = None
        self._names = [*topics, *outputs]
        self._excused_at: dict[int, float] = {}  # see ``_well_at``; partition to monotonic seconds
        # Kafka, to this member, at every look; monotonic seconds
        self._answers_since: float | None = None
        self._silent_since: float | None = None
        self.joined = False
        self.lags: dict[int, int] = {}  # partition to records not handled, as last looked at
        self.failed: str | None = None  # why it is no member, where it tried
        self.unfit: str | None = None  # why no lane may work, until the process is started anew

    @property
    def unheard(self) -> bool:
        """Whether Kafka did not answer this member the last time it was asked."""
        return self.joined and self._silent_since is not None

    async def stuck(self, after_s: float, *, redis_since: float | None) -> list[LaneState]:
        """Lanes that another worker should have, as they do not get to work here.

        A lane that runs is stuck if it has had records to read and finished none for so long; any
        other, if it has not come to run. Only time in which this process reached Kafka and Redis
        counts, and none in which all workers would wait.

        Args:
            after_s: how long.
            redis_since: since when Redis has answered at every look, monotonic seconds.
        """
        states = self.states()
        now = time.monotonic()
        try:
            async with asyncio.timeout(_LAG_S):
                topics = await to_its_end(topics_now(self._consumer._client, self._names))
        except (KafkaError, TimeoutError, AttributeError):
            # No broker to ask, or no member: nobody can make progress.
            self._is_silent(now)
            return []
        self._answers_since, self._silent_since = self._answers_since or now, None
        self._see_errors()
        ids = {name: topic.id for name, topic in topics.items() if not topic.error}
        if any(lane.reads_other_than(ids) for lane, _ in self._lanes.values()):
            logger.error("group.topic_replaced", extra={"group": self._group})
            self._rejoin.set()  # each lane then finds whether it may go on
        led = frozenset.intersection(*(topic.led for topic in topics.values()))
        self.lags = await self._lags([state for state in states if state.partition in led])
        for state in states:
            idle = state.doing != "running" or not self.lags.get(state.partition)
            if state.partition not in led or (state.ill_since is None and idle):
                self._excused_at[state.partition] = now
        if redis_since is None:
            return []
        servers_since = max(self._answers_since, redis_since)
        return [one for one in states if now - max(servers_since, self._well_at(one)) > after_s]

    def _well_at(self, state: LaneState) -> float:
        """When a lane was last well, or had a reason not to work that every worker would have."""
        at = state.progressed_at if state.ill_since is None else state.ill_since
        return max(at, self._excused_at.get(state.partition, 0.0))

    def _see_errors(self) -> None:
        """What stopped the coordination: aiokafka tells it only to who reads, and nobody may."""
        try:
            self._consumer._coordinator.check_errors()
        except KafkaError as error:
            logger.warning("group.failed", extra={"group": self._group, "why": in_words(error)})
            self._rejoin.set()

    async def _lags(self, states: Sequence[LaneState]) -> dict[int, int]:
        """Records not handled, by partition; nothing where Kafka does not say."""
        sources = [tp for state in states for tp in state.next_offsets]
        try:
            async with asyncio.timeout(_LAG_S):
                ends = await to_its_end(self._consumer.end_offsets(sources))
        except (KafkaError, TimeoutError):
            return {}
        return {
            state.partition: sum(
                max(0, ends[tp] - offset) for tp, offset in state.next_offsets.items()
            )
            for state in states
        }

    def _is_silent(self, now: float) -> None:
        """Kafka did not answer; after a minute of that a new consumer may find it."""
        self.lags = {}
        self._answers_since, self._silent_since = None, self._silent_since or now
        if self.joined and now - self._silent_since > _SILENT_S:
            logger.warning("group.unheard", extra={"group": self._group})
            self._silent_since = now
            self._rejoin.set()

    async def hand_over(self) -> None:
        """Leave the group at once, with whatever is in hand: the next owners undo it."""
        if self._consumer is None:
            return
        one = self._consumer._coordinator
        leave = LeaveGroup(one.group_id, one.member_id, one._group_instance_id)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_LEAVE_S):
                await one._send_req(leave)

    def states(self) -> list[LaneState]:
        """How every lane of this process is."""
        return [lane.state for lane, _ in self._lanes.values()]

    def stop(self) -> None:
        """Ask to finish what is in hand, commit it and leave the group."""
        self._stop.set()

    async def run(self) -> None:
        """Be a member until stopped; anything but a stop joins again, with back-off."""
        wait_s = _REJOIN_S[0]
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                await self._be_member()
            except Exception as error:
                self.failed = in_words(error)
                logger.warning("group.failed", extra={"group": self._group, "why": self.failed})
            if time.monotonic() - began > 60:
                wait_s = _REJOIN_S[0]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), wait_s)
            wait_s = min(2 * wait_s, _REJOIN_S[1])

    async def _be_member(self) -> None:
        self._rejoin.clear()
        consumer = AIOKafkaConsumer(
            **self._settings.kafka(),
            group_id=self._group,
            group_instance_id=(
                f"{self._group}-{self._settings.instance_id}"
                if self._settings.instance_id
                else None
            ),
            enable_auto_commit=False,
            auto_offset_reset="none",  # where to go on is the lanes' to decide
            isolation_level="read_committed",
            # Round robin would part p of one source from p of another.
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=round(1000 * self._settings.session_timeout_s),
            heartbeat_interval_ms=min(_HEARTBEAT_MS, round(100 * self._settings.session_timeout_s)),
            rebalance_timeout_ms=_REBALANCE_MS,
            max_poll_interval_ms=_IDLE_MS,
            max_partition_fetch_bytes=self._settings.fetch_bytes,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            metadata_max_age_ms=_METADATA_MS,
        )
        listener = _Listener(self, consumer)
        consumer.subscribe(self._topics, listener=listener)
        try:
            await start(consumer)
            self._consumer, self.joined, self.failed = consumer, True, None
            waits = [asyncio.ensure_future(event.wait()) for event in (self._stop, self._rejoin)]
            workings = [consumer._fetcher._fetch_task, consumer._coordinator._coordination_task]
            try:
                done, _ = await asyncio.wait(
                    (*waits, *workings), return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                for wait in waits:
                    wait.cancel()
            if not done.isdisjoint(workings):
                # Without the first nothing is read, without the second no rebalance is heard of.
                raise BrokerUnavailable("Kafka: a task of the consumer ended")
        finally:
            self._consumer, self.joined = None, False
            listener.closed = True
            await self.let_go()
            await stop(consumer)

    async def let_go(self) -> None:
        """End every lane: finish and commit what is in hand, abort what cannot finish."""
        lanes, self._lanes = list(self._lanes.values()), {}
        if lanes:
            self.at_step("letting_go")
        for lane, _ in lanes:
            lane.stop()
        if lanes:
            _, late = await asyncio.wait([task for _, task in lanes], timeout=_LET_GO_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*(task for _, task in lanes), return_exceptions=True)

    def take(self, consumer: Any, assigned: Iterable[TopicPartition]) -> None:
        """Start a lane for every partition, unless recipients are spread by another number."""
        counts = {topic: len(consumer.partitions_for_topic(topic) or ()) for topic in self._topics}
        by_partition: dict[int, list[TopicPartition]] = {}
        for tp in sorted(assigned):
            by_partition.setdefault(tp.partition, []).append(tp)
        for topic, count in counts.items():
            if count not in (0, self._settings.partitions):
                self.unfit = (
                    f"{topic}: {count} partitions where {self._settings.partitions} are expected; "
                    "records of one recipient may stand in two of them"
                )
                logger.error("group.unfit", extra={"group": self._group, "why": self.unfit})
                return
        whole = all(len(sources) == len(counts) for sources in by_partition.values())
        if not all(counts.values()) or not whole:
            # A broker that is catching up may not know a topic: that says nothing of the topic.
            logger.warning("group.topics_unknown", extra={"group": self._group})
            self._rejoin.set()
            return
        for partition, sources in by_partition.items():
            lane = self._lane(
                self._settings,
                group=self._group,
                consumer=consumer,
                sources=sources,
                outputs=self._outputs,
                stage=self._stage(partition),
                metrics=self._metrics,
                at_step=self.at_step,
                takes=self._takes,
            )
            task = asyncio.get_running_loop().create_task(
                lane.run(), name=f"{self._group}-{partition}"
            )
            task.add_done_callback(self._ended)
            self._lanes[partition] = (lane, task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        level = logging.WARNING if isinstance(error, Fenced) else logging.ERROR
        logger.log(level, "lane.ended", extra={"lane": task.get_name(), "why": str(error)})
        self._rejoin.set()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, lanes: Lanes, consumer: Any) -> None:
        self._lanes = lanes
        self._consumer = consumer
        self.closed = False

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._lanes.at_step("revoked")
        await self._lanes.let_go()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._lanes.at_step("assigned")
        # A rebalance may end while we leave: lanes of a consumer that is gone would work nothing,
        # and fence those that do.
        if not self.closed:
            self._lanes.take(self._consumer, assigned)
