"""Reading a partition of a history back for one of its keys or accounts: bounded, newest first."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson

from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.kafka.client import read_whole

_DEADLINE_S = 20.0


async def newest(
    settings: Settings,
    topic: str,
    partition: int,
    *,
    keep: Callable[[bytes | None, dict[str, Any]], bool],
    limit: int,
    since_ms: int | None,
) -> list[dict[str, Any]]:
    """The newest values of a partition that are kept, the newest first.

    Args:
        settings: of the installation.
        topic: full name.
        partition: which.
        keep: whether a record, told by its key and value, is one of them.
        limit: how many at most.
        since_ms: only those written from this time on, UTC.

    Raises:
        BrokerUnavailable: where it takes longer than 20 s; a later ``since_ms`` makes it shorter.
    """
    found: deque[dict[str, Any]] = deque(maxlen=limit)
    try:
        async with asyncio.timeout(_DEADLINE_S):
            async for record in read_whole(
                settings, topic, partitions=[partition], since_ms=since_ms
            ):
                value = orjson.loads(record.value)
                if keep(record.key, value):
                    found.append(value)
    except TimeoutError:
        raise BrokerUnavailable(f"Kafka: {topic} was not read within {_DEADLINE_S:.0f} s") from None
    return list(reversed(found))
