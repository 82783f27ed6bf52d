"""Reads a whole hash of Redis as it lies there, for a checker that brings its own reader."""

from __future__ import annotations

from collections.abc import AsyncIterator

from processor.stores.redis_client import RedisClient
from processor.stores.redis_errors import REDIS_ERRORS, unavailable

_AT_ONCE = 1_000  # fields


async def fields_of(client: RedisClient, name: str) -> AsyncIterator[tuple[bytes, bytes]]:
    """Every field and its value; one that changes meanwhile may come twice.

    Args:
        client: of the installation's Redis.
        name: of the hash, whole.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    try:
        async for field, value in client.redis.hscan_iter(name, count=_AT_ONCE):
            yield field, value
    except REDIS_ERRORS as error:
        raise unavailable(error) from error
