"""`message-statuses.v1` followed by a group: at least once, in order for each message."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from aiokafka import AIOKafkaConsumer

from processor import clocks
from processor.config import Settings
from processor.kafka.ports import Consumer
from processor.kafka.starting import start, stop
from processor.kafka.topics.follower import NOT_ITS_FAULT, Follower, said
from processor.metrics import Metrics
from processor.wire.records import Record
from schemas.message_status import MessageStatus

logger = logging.getLogger(__name__)


Refused = Sequence[tuple[int, Exception]]
"""Statuses that cannot be applied, by their index in a batch, and why."""

Take = Callable[[Sequence[MessageStatus]], Awaitable[Refused]]


class StatusesTopic:
    """Reads for ever, sharing the partitions with the group's other members.

    Args:
        settings: of the installation.
        topic: full name.
        group: the group that keeps the offsets.
        take: is given each batch, and again if it raises ``StoreUnavailable`` or the process ends
            before the commit; returns the statuses that can never be applied.
        metrics: of the process.
    """

    def __init__(
        self, settings: Settings, topic: str, *, group: str, take: Take, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._group = group
        self._take = take
        self._follower = Follower("statuses", metrics)

    async def follow(self) -> None:
        """Read for ever."""
        await self._follower.keep(self._read)

    async def _read(self) -> None:
        settings = self._settings
        consumer = AIOKafkaConsumer(
            self._topic,
            **settings.kafka(),
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=round(1000 * settings.session_timeout_s),
            heartbeat_interval_ms=round(300 * settings.session_timeout_s),
            max_partition_fetch_bytes=settings.fetch_bytes,
        )
        try:
            await start(consumer)
            await self._follower.watch(consumer, self._read_from(consumer))
        finally:
            await stop(consumer)

    async def _read_from(self, consumer: Consumer) -> None:
        most = self._settings.batch_records
        while True:
            found = await consumer.getmany(timeout_ms=500, max_records=most)
            with self._follower.working():
                for records in found.values():
                    await self._give(list(self._statuses(records)))
            if found:
                await consumer.commit()

    async def _give(self, read: Sequence[tuple[Record, MessageStatus]]) -> None:
        """Have statuses applied, however long that takes; find those at fault by halving."""
        while read:
            try:
                refused = await self._take([status for _, status in read])
            except NOT_ITS_FAULT as error:
                logger.warning("statuses.wait", extra={"why": said(error)})
                await asyncio.sleep(clocks.RETRY_S)
                continue
            except Exception as error:
                if len(read) == 1:
                    self._follower.refuse(read[0][0], error)
                    return
                half = len(read) // 2
                await self._give(read[:half])
                await self._give(read[half:])
                return
            for index, why in refused:
                self._follower.refuse(read[index][0], why)
            return

    def _statuses(self, records: Iterable[Record]) -> Iterable[tuple[Record, MessageStatus]]:
        for record in records:
            try:
                yield record, MessageStatus.model_validate_json(record.value or b"")
            except MemoryError:
                raise
            except Exception as error:
                self._follower.refuse(record, error)
