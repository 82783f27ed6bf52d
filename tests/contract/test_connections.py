"""Connections that never answer again, among those that do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, RequestTimedOutError
from aiokafka.protocol.metadata import MetadataRequest

from processor.config import Settings
from processor.kafka.connections import Client
from tests.contract.silent_broker import silent_broker
from tests.installation import DEADLINE_S

MANY = 1_000  # answers


@asynccontextmanager
async def a_client(address: str, *, request_s: float) -> AsyncIterator[Any]:
    made = Client(bootstrap_servers=address, request_timeout_ms=round(1000 * request_s))
    await made.bootstrap()
    try:
        assert await asked(made)
        yield made
    finally:
        await made.close()


async def asked(client: Any) -> bool:
    """Whether a broker answers."""
    [node] = client.cluster.brokers()
    return bool((await client.send(node.nodeId, MetadataRequest([]))).brokers)


async def test_a_request_in_vain_ends_every_connection_on_which_nothing_is_heard(
    settings: Settings,
) -> None:
    async with silent_broker(settings.kafka_bootstrap) as broker:
        broker.answer(MANY)
        async with (
            a_client(broker.address, request_s=0.5) as hasty,
            a_client(broker.address, request_s=600) as patient,
        ):
            broker.answer(0)  # on these connections nothing is heard any more
            waiting = asyncio.create_task(asked(patient))
            await broker.held.wait()
            with pytest.raises(RequestTimedOutError):
                await asked(hasty)
            with pytest.raises(KafkaConnectionError):
                await asyncio.wait_for(waiting, DEADLINE_S)
            broker.answer(MANY)
            assert await asked(patient)
            assert await asked(hasty)


async def test_a_connection_on_which_something_is_heard_stays(settings: Settings) -> None:
    address = settings.kafka_bootstrap
    async with a_client(address, request_s=5) as one, a_client(address, request_s=5) as other:
        [connection] = [made for made in other._conns.values() if made.connected()]
        began_s = time.monotonic()
        assert await asked(other)
        for client in (one, other):
            client.drop_unheard(connection.host, connection.port, began_s)
        assert connection.connected()
        assert not any(made.connected() for made in one._conns.values())
        assert await asked(one)
