"""The configuration, followed live: `messaging-services.v1` read from its start and then on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from processor.config import Settings
from processor.core.services import Directory, Service
from processor.errors import BrokerUnavailable
from processor.kafka.client import read_whole
from processor.wire.json_values import reason
from processor.wire.services import read_service, read_stored, write_stored
from schemas.messaging_service import MessagingService

logger = logging.getLogger(__name__)


class ServicesTopic:
    """Follows the configuration of every service.

    ``directory`` is replaced whole at each change: who took it for a batch keeps what it took.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings = settings
        self._tp = TopicPartition(topic, 0)
        self._loaded = asyncio.Event()
        self.directory = Directory()

    async def wait_loaded(self) -> None:
        """Wait until everything that was there at the start has been read."""
        await self._loaded.wait()

    async def follow(self) -> None:
        """Read for ever; a broken connection is made anew, with what is known kept meanwhile."""
        while True:
            try:
                await self._read()
            except KafkaError as error:
                logger.warning("services.unreadable", extra={"error": type(error).__name__})
                await asyncio.sleep(1)

    async def _read(self) -> None:
        reader = AIOKafkaConsumer(
            **self._settings.kafka(),
            enable_auto_commit=False,
            isolation_level="read_committed",
            # A change must be in force within a second.
            fetch_max_wait_ms=200,
            max_partition_fetch_bytes=self._settings.fetch_bytes,
        )
        try:
            await reader.start()
            reader.assign([self._tp])
            await reader.seek_to_beginning(self._tp)
            end = (await reader.end_offsets([self._tp]))[self._tp]
            changed: dict[str, Service | None] = {}
            while True:
                wait_ms = 500 if self._loaded.is_set() else 50  # lanes wait for the first look
                found = await reader.getmany(self._tp, timeout_ms=wait_ms)
                changed |= _services_of(found.get(self._tp, ()))
                if await reader.position(self._tp) >= end:
                    # At the start all at once: a directory is made whole each time.
                    if changed:
                        self.directory = self.directory.with_services(changed)
                        logger.info("services.changed", extra={"services": len(changed)})
                        changed = {}
                    self._loaded.set()
        finally:
            await reader.stop()


def _services_of(records: Iterable[Any]) -> dict[str, Service | None]:
    """The services that records name; None for one that is gone."""
    services: dict[str, Service | None] = {}
    for record in records:
        sid = record.key.decode()
        try:
            services[sid] = None if record.value is None else read_service(record.value)
        except ValidationError as error:
            # The writer refuses these; should one get in, the last good one stays in force.
            logger.error("services.refused", extra={"service": sid, "reason": reason(error)})
    return services


async def stored(settings: Settings, topic: str) -> dict[str, MessagingService]:
    """Every service as it is stored now, by its sid.

    Raises:
        BrokerUnavailable: where the broker does not answer.
    """
    models: dict[str, MessagingService] = {}
    async for record in read_whole(settings, topic, partitions=[0]):
        sid = record.key.decode()
        models.pop(sid, None)
        if record.value is not None:
            models[sid] = read_stored(record.value)
    return models


async def publish(settings: Settings, topic: str, changed: Mapping[str, MessagingService]) -> None:
    """Write services to the compacted topic, all or none of them.

    Raises:
        BrokerUnavailable: where the broker does not take them.
    """
    producer = AIOKafkaProducer(
        **settings.kafka(),
        transactional_id=f"{settings.topic_prefix}services",
        max_batch_size=1 << 19,
        max_request_size=1 << 21,
    )
    try:
        await producer.start()
        async with producer.transaction():
            for fate in [
                await producer.send(topic, write_stored(model), key=sid.encode())
                for sid, model in changed.items()
            ]:
                await fate
    except KafkaError as error:
        raise BrokerUnavailable(
            f"Kafka at {settings.kafka_bootstrap}: {type(error).__name__}"
        ) from error
    finally:
        await producer.stop()
