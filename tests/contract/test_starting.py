"""What aiokafka leaves behind where a start is given up: nothing, by the way we start it."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from processor.config import Settings
from processor.kafka.starting import start


async def unclosed(begin: Callable[[Any], Awaitable[None]]) -> int:
    """Connections left open by starts that are given up, each a little later than the last."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for step in range(40):
            consumer = AIOKafkaConsumer(**Settings().kafka())
            task = asyncio.ensure_future(begin(consumer))
            await asyncio.sleep(step * 0.0005)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await consumer.stop()
            del consumer, task
            gc.collect()
        return sum("Unclosed AIOKafkaConnection" in str(one.message) for one in warned)


async def test_a_start_that_is_given_up_leaves_no_connection_open(servers: None) -> None:
    assert await unclosed(start) == 0


@pytest.mark.filterwarnings("ignore")
async def test_aiokafka_itself_would_leave_some(servers: None) -> None:
    """When this fails, `processor/kafka/starting.py` is needed no more."""
    assert await unclosed(lambda consumer: consumer.start()) > 0
