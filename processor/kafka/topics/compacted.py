"""A compacted topic of one partition, followed live: read from its start and then on."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Generic, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition

from processor.config import Settings
from processor.core.blocks import ConfigView
from processor.errors import RecordError
from processor.kafka.fetched import readable
from processor.kafka.lanes.source_reader import REQUEST_S
from processor.kafka.ports import Consumer
from processor.kafka.protocol import topic_id
from processor.kafka.reading import reader
from processor.kafka.starting import start, stop
from processor.kafka.topics.follower import NOT_ITS_FAULT, Follower, Place
from processor.metrics import Metrics
from processor.wire.records import Record

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_Changes = dict[str, tuple[Place, _T | None]]  # by key: where it is, and what it holds
_GATHER_S = 1.0
_MOST_GATHERED = 4 << 20  # bytes
_GO_ON_S = 3_600.0  # after a break; after more, the topic may have forgotten what is gone (a day)


class CompactedTopic(Generic[_T]):
    """Hands on changes, by key; at the start everything at once.

    The first change after a quiet second is handed on at once. Changes within the next second are
    gathered, and only the last change of a key is read. A caller that waits for a change gets it at
    once. Records that cannot be used are skipped; the last good record of a key stays in force.

    Args:
        settings: of the installation.
        topic: full name.
        name: of what it holds, for the log.
        read: makes the value to hand on from a record's bytes; any exception refuses the record.
        sid_of: the sid in what was read, which must be the record's key.
        take: is given the changed values, all or none of them; None for a deleted value.
        metrics: of the process.
        unusable: is given each key whose new records were all skipped.
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
        unusable: Callable[[str], None] = lambda key: None,
    ) -> None:
        self._settings = settings
        self.full_name = topic
        self._tp = TopicPartition(topic, 0)
        self._name = name
        self._read_value = read
        self._sid_of = sid_of
        self._take = take
        self._unusable = unusable
        self._follower = Follower(name, metrics)
        self._loaded = asyncio.Event()
        self.view: ConfigView | None = None  # the view handed on; None before it is loaded
        self._position = 0  # of what was handed on
        self._waiters: dict[asyncio.Future[None], int] = {}  # each with the position it waits for
        # Records not handed on yet: raw, by key in the order of the topic, and then decoded.
        self._gathered: dict[bytes, list[Record]] = {}
        self._gathered_bytes = 0
        self._changed: _Changes[_T] = {}
        self._read_to = ConfigView("", 0)
        self._known: set[str] = set()  # keys of what was handed on and is not gone
        self._whole: set[str] | None = None  # keys met, while the topic is read from its beginning
        self._handed_on_at = -math.inf  # monotonic; when something was changed last

    @property
    def loaded(self) -> bool:
        """Whether everything that was there at the start has been read."""
        return self._loaded.is_set()

    @property
    def age_s(self) -> float:
        """How long ago it last knew that it had read all there is."""
        return self._follower.age_s

    async def wait_loaded(self) -> None:
        """Wait until everything that was there at the start has been read."""
        await self._loaded.wait()

    def view_at(self, position: int) -> ConfigView | None:
        """The view handed on; records read up to a position are handed on first."""
        if self._whole is None and self._position < position <= self._read_to.position:
            self._hand_on()
        return self.view

    async def wait_until(self, position: int) -> None:
        """Wait until everything before a position has been handed on."""
        self.view_at(position)
        if self._position >= position:
            return
        handed_on = asyncio.get_running_loop().create_future()
        self._waiters[handed_on] = position
        try:
            await handed_on
        finally:
            del self._waiters[handed_on]

    async def wait_current(self) -> None:
        """Wait until everything that is in the topic now has been handed on.

        Raises:
            BrokerUnavailable: where the broker does not answer.
        """
        await self.wait_until((await self.now()).position)

    async def now(self) -> ConfigView:
        """The topic's id and its end, as they are now.

        Raises:
            BrokerUnavailable: where the broker does not answer.
        """
        async with reader(
            self._settings, [self.full_name], at_end=True, partitions=[0], paused=True
        ) as consumer:
            id_ = await topic_id(consumer._client, self.full_name)
            return ConfigView(id_, (await consumer.end_offsets([self._tp]))[self._tp])

    async def follow(self) -> None:
        """Read for ever; reconnect after a failure, and keep the known values meanwhile."""
        await self._follower.keep(self._read)

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            **self._settings.kafka(request_s=REQUEST_S),
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
            id_ = await topic_id(consumer._client, self.full_name)
            end = (await consumer.end_offsets([self._tp]))[self._tp]
            if self._can_go_on(id_):
                consumer.seek(self._tp, self._position)
            else:
                await consumer.seek_to_beginning(self._tp)
                self._whole = set()
            self._drop_gathered()
            self._read_to = ConfigView(id_, self._position)  # of this reading nothing more yet
            await self._follower.watch(consumer, self._read_from(consumer, id_, end))
        finally:
            await stop(consumer)

    def _can_go_on(self, id_: str) -> bool:
        """Whether the topic still has all that came since; it forgets what is gone after a day."""
        same = self.view is not None and self.view.topic_id == id_
        return same and self.age_s < _GO_ON_S

    async def _read_from(self, consumer: Consumer, id_: str, end: int) -> None:
        while True:
            wait_ms = 100 if self.loaded else 50  # lanes wait for the first look
            found = await consumer.getmany(self._tp, timeout_ms=wait_ms)
            position = await consumer.position(self._tp)
            # No await from here on: no caller may see the records without their position.
            self._gather(found.get(self._tp, ()))
            self._read_to = ConfigView(id_, position)
            if position < end or self._gathered_bytes > _MOST_GATHERED:
                self._decode()
            if position >= end and self._is_due():
                self._hand_on()

    def _drop_gathered(self) -> None:
        self._gathered.clear()
        self._gathered_bytes = 0
        self._changed.clear()

    def _gather(self, records: Iterable[Record]) -> None:
        for record in readable(records):
            key = record.key or b""
            self._gathered[key] = gathered = self._gathered.pop(key, [])  # now the last key
            gathered.append(record)
            self._gathered_bytes += len(record.value or b"")

    def _is_due(self) -> bool:
        """Whether what was gathered is to be handed on now."""
        return (
            not (self._gathered or self._changed)
            or time.monotonic() - self._handed_on_at >= _GATHER_S
            or any(position <= self._read_to.position for position in self._waiters.values())
        )

    def _hand_on(self) -> None:
        self._decode()
        if self._whole is not None:
            end = Place(self.full_name, 0, self._read_to.position)
            self._changed |= dict.fromkeys(self._known - self._whole, (end, None))
            self._whole = None
        if self._changed:
            self._give(self._changed)
            logger.info(f"{self._name}.changed", extra={self._name: len(self._changed)})
            for key, (_, value) in self._changed.items():
                (self._known.discard if value is None else self._known.add)(key)
            self._changed = {}
            if self.loaded:  # records read at the start are not changes
                self._handed_on_at = time.monotonic()
        # No await between the two, so that no one decides by one without the other.
        self.view = self._read_to
        self._position = self._read_to.position
        self._loaded.set()
        for handed_on, position in self._waiters.items():
            if position <= self._position and not handed_on.done():
                handed_on.set_result(None)

    def _decode(self) -> None:
        """Read what was gathered: of each key the last record that can be used."""
        for raw, records in self._gathered.items():
            if self._whole is not None:
                self._whole.add(raw.decode(errors="replace"))
            for record in reversed(records):
                try:
                    key, value = self._value_of(record)
                except MemoryError:
                    raise
                except Exception as error:
                    # The writer refuses these; should one get in, the last good one stays in force.
                    self._follower.refuse(record, error)
                else:
                    place = Place(record.topic, record.partition, record.offset)
                    self._changed.pop(key, None)
                    self._changed[key] = place, value
                    break
            else:
                self._unusable(raw.decode(errors="replace"))
        self._gathered.clear()
        self._gathered_bytes = 0

    def _value_of(self, record: Record) -> tuple[str, _T | None]:
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
