"""`message-statuses.v1` followed by a group: at least once, in order for each message."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from processor.config import Settings
from processor.errors import StoreUnavailable
from processor.kafka.client import NoBroker
from processor.kafka.failures import in_words
from processor.wire.json_values import reason
from schemas.message_status import MessageStatus

logger = logging.getLogger(__name__)

_RETRY_S = 1.0


async def follow_statuses(
    settings: Settings,
    topic: str,
    *,
    group: str,
    take: Callable[[Sequence[MessageStatus]], Awaitable[None]],
) -> None:
    """Read for ever, sharing the partitions with the group's other members.

    Args:
        settings: of the installation.
        topic: full name.
        group: whose offsets are kept.
        take: is given each batch, again where it raises ``StoreUnavailable`` or the process ends
            before the batch is committed.
    """
    while True:
        try:
            await _read(settings, topic, group, take)
        except (KafkaError, NoBroker) as error:
            logger.warning("statuses.unreadable", extra={"why": in_words(error)})
            await asyncio.sleep(_RETRY_S)


async def _read(
    settings: Settings,
    topic: str,
    group: str,
    take: Callable[[Sequence[MessageStatus]], Awaitable[None]],
) -> None:
    consumer = AIOKafkaConsumer(
        topic,
        **settings.kafka(),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        session_timeout_ms=round(1000 * settings.session_timeout_s),
        heartbeat_interval_ms=round(300 * settings.session_timeout_s),
        max_partition_fetch_bytes=settings.fetch_bytes,
    )
    try:
        await consumer.start()
        while True:
            found = await consumer.getmany(timeout_ms=500, max_records=settings.batch_records)
            for records in found.values():
                await _give(take, list(_statuses(records)))
            if found:
                await consumer.commit()
    finally:
        await consumer.stop()


async def _give(
    take: Callable[[Sequence[MessageStatus]], Awaitable[None]], statuses: Sequence[MessageStatus]
) -> None:
    while statuses:
        try:
            await take(statuses)
            return
        except StoreUnavailable as error:
            logger.warning("statuses.wait", extra={"why": str(error)})
            await asyncio.sleep(_RETRY_S)


def _statuses(records: Iterable[Any]) -> Iterable[MessageStatus]:
    for record in records:
        if record.value is None:
            continue
        try:
            yield MessageStatus.model_validate_json(record.value)
        except ValidationError as error:
            place = {"partition": record.partition, "offset": record.offset}
            logger.warning("statuses.refused", extra={**place, "reason": reason(error)})
