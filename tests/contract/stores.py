"""A Redis block list for contract tests, and the values they write to it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from processor.core.blocks import Mark
from processor.core.identity import Handled
from processor.stores.block_list import BatchWrite, BlockListStore
from processor.stores.redis_block_list import RedisBlockList
from processor.stores.redis_client import RedisClient
from tests.builders import NOW_MS

P = 3  # a partition
ANN, BOB = "AC1/+15550000001", "AC2/whatsapp:+15550000002"
SEEN_MS = 60_000
ONE, TWO, THREE = (Handled(bytes([1, 2, *[number] * 8]), NOW_MS) for number in range(3))


@asynccontextmanager
async def redis_store(
    url: str, *, prefix: str = "", timeout_s: float = 5, min_replicas: int = 0
) -> AsyncIterator[RedisBlockList]:
    """A separate block list in a Redis."""
    client = RedisClient(url, timeout_s=timeout_s, min_replicas=min_replicas)
    prefix = prefix or f"t{uuid.uuid4().hex[:12]}."
    try:
        yield RedisBlockList(client, prefix=prefix, seen_ms=SEEN_MS)
    finally:
        await client.close()


async def whole(
    store: BlockListStore, entries: dict[str, bytes | None] | None = None, partition: int = P
) -> int:
    """Claim a partition and make its list whole; return its owner's epoch."""
    epoch = (await store.claim(partition, at_least=0)).epoch
    await store.begin_rebuild(partition, epoch)
    await store.add_rebuilt(partition, epoch, entries or {})
    await store.finish_rebuild(partition, epoch, mark=Mark(epoch, 2), ready="topic", partitions=12)
    return epoch


def a_batch(epoch: int) -> BatchWrite:
    """Ann is blocked, Bob no longer is."""
    return BatchWrite(
        epoch=epoch,
        expected=Mark(epoch, 2),
        mark=Mark(epoch, 3),
        after={ANN: b"[1]", BOB: None},
        before={ANN: None, BOB: b"[2]"},
        handled=[ONE, TWO],
    )
