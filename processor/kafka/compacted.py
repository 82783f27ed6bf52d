"""A compacted topic of one partition, followed live: read from its start and then on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from processor.config import Settings
from processor.kafka.failures import in_words
from processor.kafka.fetched import readable
from processor.wire.json_values import reason

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class CompactedTopic(Generic[_T]):
    """Hands on what changed, by key; at the start everything at once.

    Args:
        settings: of the installation.
        topic: full name.
        name: of what it holds, for the log.
        read: a value's bytes to what is handed on; may raise pydantic's ``ValidationError``.
        take: is given what changed; None for what is gone.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        name: str,
        *,
        read: Callable[[bytes], _T],
        take: Callable[[Mapping[str, _T | None]], None],
    ) -> None:
        self._settings = settings
        self.full_name = topic
        self._tp = TopicPartition(topic, 0)
        self._name = name
        self._read_value = read
        self._take = take
        self._loaded = asyncio.Event()
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

    async def follow(self) -> None:
        """Read for ever; a broken connection is made anew, with what is known kept meanwhile."""
        while True:
            try:
                await self._read()
            except KafkaError as error:
                logger.warning(f"{self._name}.unreadable", extra={"why": in_words(error)})
                await asyncio.sleep(1)

    async def _read(self) -> None:
        reader = AIOKafkaConsumer(
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
            await reader.start()
            reader.assign([self._tp])
            await reader.seek_to_beginning(self._tp)
            end = (await reader.end_offsets([self._tp]))[self._tp]
            changed: dict[str, _T | None] = {}
            while True:
                wait_ms = 100 if self._loaded.is_set() else 50  # lanes wait for the first look
                found = await reader.getmany(self._tp, timeout_ms=wait_ms)
                changed |= self._values_of(found.get(self._tp, ()))
                position = await reader.position(self._tp)
                if position >= end:
                    # At the start all at once: what is made of them is made whole each time.
                    if changed:
                        self._take(changed)
                        logger.info(f"{self._name}.changed", extra={self._name: len(changed)})
                        changed = {}
                    self._loaded.set()
                    await self._move(position)
        finally:
            await reader.stop()

    async def _move(self, position: int) -> None:
        if position != self._position:
            async with self._moved:
                self._position = position
                self._moved.notify_all()

    def _values_of(self, records: Iterable[Any]) -> dict[str, _T | None]:
        values: dict[str, _T | None] = {}
        for record in readable(records):
            # A key that is no text is nobody's of ours; its value is refused like any other.
            key = (record.key or b"").decode(errors="backslashreplace")
            try:
                values[key] = None if record.value is None else self._read_value(record.value)
            except ValidationError as error:
                # The writer refuses these; should one get in, the last good one stays in force.
                logger.error(f"{self._name}.refused", extra={"sid": key, "reason": reason(error)})
        return values
