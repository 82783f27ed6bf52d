"""The configuration, followed live: `messaging-services.v1` read from its start and then on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from processor.config import Settings
from processor.core.services import Directory, Service
from processor.errors import BrokerUnavailable
from processor.wire.json_values import reason
from processor.wire.services import read_stored, service_of, write_stored
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
        self.documents: dict[str, MessagingService] = {}

    async def wait_loaded(self) -> None:
        """Wait until everything that was there at the start has been read."""
        await self._loaded.wait()

    async def follow(self) -> None:
        """Read for ever; a broken connection is made anew, with what is known kept meanwhile."""
        while True:
            try:
                await self._read(stay=True)
            except KafkaError as error:
                logger.warning("services.unreadable", extra={"error": type(error).__name__})
                await asyncio.sleep(1)

    async def load(self) -> None:
        """Read what is there now, and return.

        Raises:
            BrokerUnavailable: where the broker does not answer.
        """
        try:
            await self._read(stay=False)
        except KafkaError as error:
            raise BrokerUnavailable(
                f"Kafka at {self._settings.kafka_bootstrap}: {type(error).__name__}"
            ) from error

    async def _read(self, *, stay: bool) -> None:
        reader = AIOKafkaConsumer(
            **self._settings.kafka(),
            enable_auto_commit=False,
            isolation_level="read_committed",
            # A change must be in force within a second.
            fetch_max_wait_ms=200,
        )
        try:
            await reader.start()
            reader.assign([self._tp])
            await reader.seek_to_beginning(self._tp)
            end = (await reader.end_offsets([self._tp]))[self._tp]
            while stay or not self._loaded.is_set():
                if not self._loaded.is_set() and await reader.position(self._tp) >= end:
                    self._loaded.set()
                    continue
                found = await reader.getmany(self._tp, timeout_ms=500)
                self._take(found.get(self._tp, ()))
        finally:
            await reader.stop()

    def _take(self, records: Any) -> None:
        changed: dict[str, Service | None] = {}
        for record in records:
            sid = record.key.decode()
            if record.value is None:
                self.documents.pop(sid, None)
                changed[sid] = None
                continue
            try:
                model = read_stored(record.value)
            except ValidationError as error:
                # The writer refuses these; should one get in, the last good one stays in force.
                logger.error("services.refused", extra={"service": sid, "reason": reason(error)})
                continue
            self.documents[sid] = model
            changed[sid] = service_of(model)
        if changed:
            self.directory = self.directory.with_services(changed)
            logger.info("services.changed", extra={"services": len(changed)})


async def publish(settings: Settings, topic: str, changed: Mapping[str, MessagingService]) -> None:
    """Write services to the compacted topic, all or none of them.

    Raises:
        BrokerUnavailable: where the broker does not take them.
    """
    producer = AIOKafkaProducer(
        **settings.kafka(),
        transactional_id=f"{settings.topic_prefix}services",
        max_request_size=1 << 21,
    )
    try:
        await producer.start()
        async with producer.transaction():
            for sid, model in changed.items():
                await producer.send_and_wait(topic, write_stored(model), key=sid.encode())
    except KafkaError as error:
        raise BrokerUnavailable(
            f"Kafka at {settings.kafka_bootstrap}: {type(error).__name__}"
        ) from error
    finally:
        await producer.stop()
