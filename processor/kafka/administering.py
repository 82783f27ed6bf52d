"""The client that asks brokers about topics, groups and rights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from processor.config import Settings
from processor.kafka.failures import unavailable
from processor.kafka.starting import start, stop


@asynccontextmanager
async def admin_of(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A started admin client.

    Raises:
        BrokerUnavailable: the broker does not answer, or refuses.
    """
    admin = AIOKafkaAdminClient(**settings.kafka())
    try:
        await start(admin)
        yield admin
    except KafkaError as error:
        raise unavailable(error, settings.kafka_bootstrap) from error
    finally:
        await stop(admin)
