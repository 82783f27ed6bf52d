"""Follow the results of the load while it runs, and measure stalls."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from processor.config import Settings
from processor.core.partitions import partition_of
from processor.wire.topics import Topics
from tests.chaos.handed_over import Visible
from tests.chaos.seen import HAND_OVER, Key
from tests.chaos.stalls import NOTED_S, Stall
from tests.chaos.traffic import Written, id_of

# Short, so that stalls are the workers' and not the observer's.
_ANSWERED_MS = 3_000
_METADATA_MS = 500


class Waiting:
    """The outstanding answers of one kind in one partition."""

    def __init__(self, what: str, partition: int) -> None:
        self._what, self._partition = what, partition
        self._written: dict[str, float] = {}
        self._early: set[str] = set()  # answered before the broker acknowledged the write
        self._progressed_at = 0.0
        self.stalls: list[Stall] = []

    @property
    def has_begun(self) -> bool:
        """Whether a record was answered, or none was expected."""
        return self._progressed_at > 0 or not self._written

    def __len__(self) -> int:
        """How many answers are outstanding."""
        return len(self._written)

    def stood_still_since(self, when: float) -> bool:
        """Whether it is stalled now, or was after a time (monotonic seconds)."""
        waits = bool(self._written) and self._waited_since < time.monotonic() - NOTED_S
        return waits or any(stall.ended > when for stall in self.stalls)

    @property
    def _waited_since(self) -> float:
        return max(self._progressed_at, next(iter(self._written.values())))

    def add(self, one: str) -> None:
        """A record was written."""
        if one in self._early:
            self._early.discard(one)
        else:
            self._written[one] = time.monotonic()

    def done(self, one: str) -> None:
        """A record was answered."""
        now = time.monotonic()
        if self._written:
            began = self._waited_since
            if now - began > NOTED_S:
                self.stalls.append(Stall(self._what, self._partition, began, now))
        self._progressed_at = now
        if self._written.pop(one, None) is None:
            self._early.add(one)


class Watch:
    """Reads the workers' outputs.

    Args:
        settings: of the installation, with an address of the broker that is never cut.
        confirmed: called with an account and a recipient when a block of theirs becomes visible.
    """

    def __init__(self, settings: Settings, confirmed: Callable[[str, str], None]) -> None:
        self._settings = settings
        self._topics = Topics.under(settings.topic_prefix)
        self._confirmed = confirmed
        partitions = range(settings.partitions)
        self._replies = [Waiting("reply", partition) for partition in partitions]
        self._verdicts = [Waiting("verdict", partition) for partition in partitions]
        self._all = (*self._replies, *self._verdicts)
        self.marks: dict[str, bytes] = {}  # recipient to the mark of the last change seen
        self.seen: Counter[str] = Counter()
        self.visible = Visible()

    @property
    def waiting(self) -> int:
        """How many keywords and sends are not answered yet."""
        return sum(map(len, self._all))

    @property
    def has_begun(self) -> bool:
        """Whether every partition is worked."""
        return bool(self.seen) and all(one.has_begun for one in self._all)

    def stood_still_since(self, when: float) -> bool:
        """Whether any partition is stalled now, or was after a time (monotonic seconds)."""
        return any(one.stood_still_since(when) for one in self._all)

    def forget_stalls(self) -> None:
        """Count no stall until now, because the workers were starting."""
        for one in self._all:
            one.stalls.clear()

    @property
    def stalls(self) -> list[Stall]:
        """The stalls longer than a second."""
        return [stall for one in self._all for stall in one.stalls]

    def written(self, one: Written) -> None:
        """Expect an answer to a written record."""
        partition = partition_of(one.record.key or b"", self._settings.partitions)
        if one.record.topic == self._topics.outbound_messages:
            self._verdicts[partition].add(one.id)
        elif one.kind:
            self._replies[partition].add(one.id)

    async def follow(self) -> None:
        """Read until cancelled, through every outage."""
        topics = self._topics
        put_out = [
            topics.opt_out_notifications,
            topics.allowed_sends,
            topics.message_statuses,
            topics.block_changes,
        ]
        async with self._reading(put_out) as consumer:
            while True:
                try:
                    found = await consumer.getmany(timeout_ms=200)
                except KafkaError:
                    await asyncio.sleep(0.1)
                    continue
                for tp, records in found.items():
                    self.seen[tp.topic] += len(records)
                    for record in records:
                        self._take(record)

    @asynccontextmanager
    async def _reading(self, topics: Sequence[str]) -> AsyncIterator[Any]:
        """A consumer that finds a new leader soon, and does not wait for a frozen broker."""
        consumer: Any = AIOKafkaConsumer(
            **self._settings.kafka()
            | {"request_timeout_ms": _ANSWERED_MS, "metadata_max_age_ms": _METADATA_MS},
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",  # the topics are empty
            fetch_max_wait_ms=100,
        )
        await consumer.start()
        try:
            partitions = range(self._settings.partitions)
            consumer.assign([TopicPartition(topic, one) for topic in topics for one in partitions])
            yield consumer
        finally:
            await consumer.stop()

    def _take(self, record: Any) -> None:
        fields, topics = orjson.loads(record.value), self._topics
        if any(name == HAND_OVER for name, _ in record.headers):
            return  # a carrier's status: its send had a verdict before
        if record.topic == topics.block_changes:
            self.marks[fields["recipient"]] = fields["mark"].encode()
            key = Key(fields["account_sid"], fields["channel_group"], fields["recipient"])
            ago_s = time.time() - datetime.fromisoformat(fields["at"]).timestamp()
            now_s, blocked = time.monotonic(), fields["blocked"]
            self.visible.add(key, fields, now_s, blocked=blocked, asked_s=now_s - ago_s)
            if fields["blocked"]:
                self._confirmed(fields["account_sid"], fields["recipient"])
        elif record.topic == topics.opt_out_notifications:
            self._replies[record.partition].done(id_of(fields))
        else:
            self._verdicts[record.partition].done(id_of(fields))
