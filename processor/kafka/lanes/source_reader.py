"""One consumer for all lanes of a role; lanes add and remove partitions without disturbing others.

aiokafka replaces an assignment as a whole: it drops the fetched records of every partition, and the
fetches in progress. Here, partitions are added to the assignment and removed from it one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from math import ceil

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.subscription_state import TopicPartitionState

from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.kafka.fetched import leader_epoch_at
from processor.kafka.lanes.round_trips import fetch_without_the_busy
from processor.kafka.ports import Consumer
from processor.kafka.starting import start, stop
from processor.wire.records import Record

REQUEST_S = 3.0  # a broker answers at once, or is asked again over another connection
_METADATA_MS = 30_000


class SourceReader:
    """Reads partitions for lanes, from the offsets that they give; it is in no group.

    Args:
        settings: of the client.
        topics: full names.
        fetch_wait_ms: how long brokers wait for records if there are none; a partition that starts
            meanwhile waits, too.
    """

    def __init__(
        self, settings: Settings, topics: Sequence[str], *, fetch_wait_ms: int = 100
    ) -> None:
        self._settings = settings
        self._topics = list(topics)
        self._fetch_wait_ms = fetch_wait_ms
        self._opened: Consumer | None = None
        self._readings: dict[TopicPartition, Reading] = {}

    async def start(self) -> None:
        """Connect.

        Raises:
            aiokafka.errors.KafkaError: no broker answers.
        """
        self._opened = AIOKafkaConsumer(
            **self._settings.kafka(request_s=REQUEST_S),
            enable_auto_commit=False,
            auto_offset_reset="none",  # where to go on is the lanes' to decide
            isolation_level="read_committed",
            max_partition_fetch_bytes=self._settings.fetch_bytes,
            fetch_max_wait_ms=self._fetch_wait_ms,
            metadata_max_age_ms=_METADATA_MS,
        )
        await start(self._consumer)
        fetch_without_the_busy(self._consumer._fetcher)
        self._consumer.assign([])
        self._consumer._client.set_topics(self._topics)

    @property
    def _consumer(self) -> Consumer:
        assert self._opened is not None  # it was started
        return self._opened

    @property
    def client(self) -> AIOKafkaClient:
        """The aiokafka client, for requests about the topics."""
        return self._consumer._client

    @property
    def has_ended(self) -> bool:
        """Whether it has stopped reading."""
        return bool(self._consumer._fetcher._fetch_task.done())

    async def watch(self) -> None:
        """Wait until it stops reading.

        Raises:
            BrokerUnavailable: the task that fetches records has ended.
        """
        await asyncio.wait((self._consumer._fetcher._fetch_task,))
        raise BrokerUnavailable("Kafka: the task that fetches records has ended")

    def read(self, offsets: Mapping[TopicPartition, int]) -> Reading:
        """Begin to read partitions at offsets; an earlier reading of them is cancelled."""
        for tp in offsets:
            if tp in self._readings:
                self._readings[tp].close()
        assignment = self._consumer._subscription.subscription.assignment
        states = {tp: TopicPartitionState(assignment) for tp in offsets}
        for tp, offset in offsets.items():
            states[tp].seek(offset)  # before it is known to whoever looks for a place by itself
        assignment._tp_state.update(states)
        assignment._topic_partitions |= states.keys()
        for tp, offset in offsets.items():
            self._consumer.seek(tp, offset)  # drops what was fetched, and wakes the fetcher
        reading = Reading(self._consumer, states)
        self._readings |= dict.fromkeys(offsets, reading)
        return reading

    async def close(self) -> None:
        """Drop the connections."""
        if self._opened is not None:
            await stop(self._opened)


class Reading:
    """The partitions that one lane reads.

    Args:
        consumer: a started aiokafka consumer.
        states: of its partitions, in the consumer's assignment.
    """

    def __init__(
        self, consumer: Consumer, states: Mapping[TopicPartition, TopicPartitionState]
    ) -> None:
        self._consumer = consumer
        self._states = states
        self._asking: set[asyncio.Task[object]] = set()
        self._is_closed = False

    async def records(
        self, partitions: Iterable[TopicPartition], *, wait_s: float, most: int
    ) -> dict[TopicPartition, Sequence[Record]]:
        """The next records of some of the partitions; waits if there are none.

        Raises:
            aiokafka.errors.KafkaError: the partitions cannot be read.
        """
        assert not self._is_closed
        asking = asyncio.current_task()
        assert asking is not None
        self._asking.add(asking)
        try:
            found: Mapping[TopicPartition, Sequence[Record]] = await self._consumer.getmany(
                *partitions, timeout_ms=ceil(1000 * wait_s), max_records=most
            )
        finally:
            self._asking.discard(asking)
        return {tp: records for tp, records in found.items() if records}

    def position(self, tp: TopicPartition) -> int:
        """The offset after the last record read."""
        return int(self._states[tp].position)

    def leader_epoch(self, tp: TopicPartition) -> int | None:
        """The leader epoch of the last record read; None: nothing was read up to the position."""
        return leader_epoch_at(self._states[tp])

    def close(self) -> None:
        """Stop reading; cancel waiting callers, or they would take the next reader's records."""
        if self._is_closed:
            return
        self._is_closed = True
        for asking in self._asking:
            asking.cancel()
        assignment = self._consumer._subscription.subscription.assignment
        assignment._topic_partitions -= self._states.keys()
        for tp, state in self._states.items():
            # The state stays, for a response in progress: without a position it is dropped.
            state._position = None
            self._consumer._fetcher._records.pop(tp, None)
