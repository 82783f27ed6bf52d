"""The stores that a contract test runs on, one after another."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from processor.config import Settings
from processor.stores.block_list import BlockListStore
from processor.stores.memory import MemoryBlockList
from tests.contract.stores import SEEN_MS, redis_store


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.servers)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[BlockListStore]:
    """An empty block list: the model, and the real one."""
    if request.param == "memory":
        yield MemoryBlockList(lambda: time.time_ns() // 1_000_000, seen_ms=SEEN_MS)
        return
    request.getfixturevalue("servers")
    async with redis_store(Settings().redis_url) as made:
        yield made
