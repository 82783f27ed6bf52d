"""Connections that never answer again, among healthy connections."""

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
from processor.kafka.connections import Address, Client
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
            broker.answer(0)  # these connections are silent from now on
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


class Broker:
    """Refuses connections, or makes them; counts the requests for them."""

    def __init__(self) -> None:
        self.refuses = True
        self.asked = 0

    async def connect(self) -> str:
        self.asked += 1
        await asyncio.sleep(0.01)
        if self.refuses:
            raise KafkaConnectionError("refused")
        return "made"


async def test_a_broker_that_refuses_is_tried_by_one_for_all() -> None:
    broker, address = Broker(), Address()
    with pytest.raises(KafkaConnectionError):
        await address.connect(broker.connect)
    for round_ in range(2, 5):
        fates = await asyncio.gather(
            *(address.connect(broker.connect) for _ in range(50)), return_exceptions=True
        )
        assert all(isinstance(fate, KafkaConnectionError) for fate in fates)
        assert broker.asked == round_
    broker.refuses = False
    assert await asyncio.gather(*(address.connect(broker.connect) for _ in range(50))) == (
        50 * ["made"]
    )


async def test_who_gives_up_an_attempt_keeps_nobody_from_the_next() -> None:
    broker, address = Broker(), Address()
    with pytest.raises(KafkaConnectionError):
        await address.connect(broker.connect)
    given_up = asyncio.create_task(address.connect(broker.connect))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(address.connect(broker.connect))
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(KafkaConnectionError):
        await waiting
    broker.refuses = False
    assert await address.connect(broker.connect) == "made"


async def test_an_attempt_that_hangs_keeps_nobody_from_another() -> None:
    broker, address = Broker(), Address()
    with pytest.raises(KafkaConnectionError):
        await address.connect(broker.connect)
    hanging = asyncio.create_task(address.connect(asyncio.Event().wait))
    await asyncio.sleep(0)
    with pytest.raises(KafkaConnectionError):
        await address.connect(broker.connect)
    broker.refuses = False
    assert await asyncio.wait_for(address.connect(broker.connect), DEADLINE_S) == "made"
    hanging.cancel()
