"""A compacted topic of one partition, followed live: read from its start and then on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Generic, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition

from processor.config import Settings
from processor.core.blocks import ConfigView
from processor.errors import RecordError
from processor.kafka.client import reader
from processor.kafka.fetched import readable
from processor.kafka.follower import NOT_ITS_FAULT, Follower, Place
from processor.kafka.protocol import topic_id
from processor.kafka.starting import start
from processor.metrics import Metrics

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_Changes = dict[str, tuple[Place, _T | None]]  # by key: where it is, and what it holds


class CompactedTopic(Generic[_T]):
    """Hands on what changed, by key; at the start everything at once.

    Records that cannot be used are skipped; the last good one of a key stays in force.

    Args:
        settings: of the installation.
        topic: full name.
        name: of what it holds, for the log.
        read: a value's bytes to what is handed on; whatever it raises refuses the record.
        sid_of: the sid in what was read, which must be the record's key.
        take: is given what changed, whole or not at all; None for what is gone.
        metrics: of the process.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        name: str,
        *,
        read: Callable[[bytes], _T],
        sid_of: Callable[[_T], str],
        take: Callable[[Mapping[str, _T | None]], None],
        metrics: Metrics | None = None,
    ) -> None:
        self._settings = settings
        self.full_name = topic
        self._tp = TopicPartition(topic, 0)
        self._name = name
        self._read_value = read
        self._sid_of = sid_of
        self._take = take
        self._follower = Follower(name, metrics)
        self._loaded = asyncio.Event()
        self.view: ConfigView | None = None  # what was handed on; None before it is loaded
        self._position = 0
        self._moved = asyncio.Condition()

    @property
    def loaded(self) -> bool:
        """Whether everything that was there at the start has been read."""
        return self._loaded.is_set()

    async def wait_loaded(self) -> None:
        """Wait until everything that was there at the start has been read."""
        await self._loaded.wait()

    async def wait_until(self, offset: int) -> None:
        """Wait until everything before an offset has been handed on."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._position >= offset)

    async def wait_current(self) -> None:
        """Wait until everything that is in the topic now has been handed on.

        Raises:
            BrokerUnavailable: where the broker does not answer.
        """
        async with reader(
            self._settings, [self.full_name], at_end=True, partitions=[0]
        ) as consumer:
            end = (await consumer.end_offsets([self._tp]))[self._tp]
        await self.wait_until(end)

    async def topic_id(self) -> str:
        """The id of the topic as it is now.

        Raises:
            BrokerUnavailable: where the broker does not answer.
        """
        async with reader(
            self._settings, [self.full_name], at_end=True, partitions=[0]
        ) as consumer:
            return await topic_id(consumer._client, self.full_name)

    async def follow(self) -> None:
        """Read for ever; a broken connection is made anew, with what is known kept meanwhile."""
        await self._follower.keep(self._read)

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            **self._settings.kafka(),
            enable_auto_commit=False,
            isolation_level="read_committed",
            # Where a broker was away, aiokafka looks for a place by itself: it must skip nothing.
            auto_offset_reset="earliest",
            # A change must be in force within a second.
            fetch_max_wait_ms=200,
            max_partition_fetch_bytes=self._settings.fetch_bytes,
        )
        try:
            await start(consumer)
            consumer.assign([self._tp])
            await consumer.seek_to_beginning(self._tp)
            id_ = await topic_id(consumer._client, self.full_name)
            end = (await consumer.end_offsets([self._tp]))[self._tp]
            changed: _Changes[_T] = {}
            while True:
                wait_ms = 100 if self._loaded.is_set() else 50  # lanes wait for the first look
                found = await consumer.getmany(self._tp, timeout_ms=wait_ms)
                changed |= self._values_of(found.get(self._tp, ()))
                position = await consumer.position(self._tp)
                if position >= end:
                    # At the start all at once: what is made of them is made whole each time.
                    if changed:
                        self._give(changed)
                        logger.info(f"{self._name}.changed", extra={self._name: len(changed)})
                        changed = {}
                    # With no wait between the two, so that nobody decides by one without the other.
                    self.view = ConfigView(id_, position)
                    self._loaded.set()
                    await self._move(position)
        finally:
            await consumer.stop()

    async def _move(self, position: int) -> None:
        if position != self._position:
            async with self._moved:
                self._position = position
                self._moved.notify_all()

    def _values_of(self, records: Iterable[Any]) -> _Changes[_T]:
        values: _Changes[_T] = {}
        for record in readable(records):
            try:
                key, value = self._value_of(record)
                values[key] = Place(record.topic, record.partition, record.offset), value
            except MemoryError:
                raise
            except Exception as error:
                # The writer refuses these; should one get in, the last good one stays in force.
                self._follower.refuse(record, error)
        return values

    def _value_of(self, record: Any) -> tuple[str, _T | None]:
        key = (record.key or b"").decode()
        if record.value is None:
            return key, None
        value = self._read_value(record.value)
        if self._sid_of(value) != key:
            raise RecordError("the key is not the sid that the value holds")
        return key, value

    def _give(self, changed: _Changes[_T]) -> None:
        """Hand on what changed; where that raises, find the records at fault by halving."""
        try:
            self._take({key: value for key, (_, value) in changed.items()})
        except NOT_ITS_FAULT:
            raise
        except Exception as error:
            if len(changed) == 1:
                [(place, _)] = changed.values()
                self._follower.refuse(place, error)
                return
            changes = iter(changed.items())
            self._give(dict(islice(changes, len(changed) // 2)))
            self._give(dict(changes))
