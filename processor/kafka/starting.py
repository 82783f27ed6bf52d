"""Starting and stopping aiokafka's clients so that none leaves a connection open."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

_T = TypeVar("_T")
_CONNECT_S = 5.0


async def start(client: Any) -> None:
    """Start a consumer, a producer or an admin client; raises what it raises."""
    await to_its_end(client.start())


async def stop(consumer: Any) -> None:
    """Stop a consumer, one whose tasks have failed as well: aiokafka would leave it half closed."""
    try:
        await consumer.stop()
    except KafkaError:  # its fetcher's, which nobody waits for any more
        await consumer._client.close()


async def to_its_end(work: Coroutine[Any, Any, _T]) -> _T:
    """Await short work; given up, it still ends: aiokafka leaves a half-made connection open."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_CONNECT_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
