"""R37: the replies that brakes count, in the memory store and the real Redis store alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import count

import pytest

from processor.config import Settings
from processor.core.blocks import Mark
from processor.core.brakes import MOST_REPLIES, WINDOW_MS, Brake, Replies, Reply, lately
from processor.errors import Fenced
from processor.stores.block_list import BatchWrite, BlockListStore
from tests.builders import NOW_MS
from tests.contract.stores import ONE, P, a_batch, redis_store, whole

HOUR_MS = NOW_MS // WINDOW_MS * WINDOW_MS + WINDOW_MS  # a full hour
HELP, START = b"help......", b"start....."
FIRST, SECOND, THIRD = (Reply(NOW_MS + number, bytes(4)) for number in range(3))


async def counted(
    store: BlockListStore, *brakes: bytes, at_ms: int = NOW_MS
) -> Mapping[bytes, Replies]:
    return (await store.read(P, [], [], [Brake(one, at_ms) for one in brakes])).replied


def next_batch(
    after: BatchWrite, replied: Mapping[bytes, Replies], before: Mapping[bytes, Replies]
) -> BatchWrite:
    """A batch that has only replies."""
    mark = Mark(after.epoch, after.mark.counter + 1)
    since_ms = min(replies[-1].at_ms for replies in replied.values())
    return BatchWrite(
        after.epoch, after.mark, mark, {}, {}, [], None, replied, before, since_ms=since_ms
    )


async def test_replies_are_counted_by_brake(store: BlockListStore) -> None:
    batch = replace(a_batch(await whole(store)), replied={HELP: (FIRST, SECOND)})
    assert await counted(store, HELP, START) == {}
    await store.write(P, batch)
    await store.write(P, batch)
    assert await counted(store, HELP, START) == {HELP: (FIRST, SECOND)}
    await store.write(P, next_batch(batch, {START: (THIRD,)}, {}))
    assert await counted(store, HELP, START) == {HELP: (FIRST, SECOND), START: (THIRD,)}
    other = await store.read(P + 1, [], [], [Brake(HELP, NOW_MS)])
    assert other.replied == {}


async def test_all_that_a_brake_can_hold_is_read_back(store: BlockListStore) -> None:
    most = tuple(Reply(NOW_MS + number, bytes([number] * 4)) for number in range(MOST_REPLIES))
    brakes = {number.to_bytes(10): most for number in range(5_000)}
    await store.write(P, replace(a_batch(await whole(store)), replied=brakes))
    assert await counted(store, *brakes, HELP) == brakes


async def test_replies_of_both_sides_of_an_hour_are_counted(store: BlockListStore) -> None:
    before, after = Reply(HOUR_MS - 1, b"late"), Reply(HOUR_MS + 1, b"soon")
    first = replace(a_batch(await whole(store)), replied={HELP: (before,)})
    await store.write(P, first)
    for at_ms in (HOUR_MS - WINDOW_MS, HOUR_MS - 1, HOUR_MS + 1, HOUR_MS + WINDOW_MS - 2):
        assert await counted(store, HELP, at_ms=at_ms) == {HELP: (before,)}
    second = next_batch(first, {HELP: (before, after)}, {HELP: (before,)})
    await store.write(P, second)
    # Brokers' clocks differ: a later message may have an earlier time, in the hour before.
    for at_ms in (HOUR_MS - 10, HOUR_MS + 10):
        assert await counted(store, HELP, at_ms=at_ms) == {HELP: (before, after)}


@pytest.mark.parametrize("undo", [True, False])
async def test_replies_of_a_batch_that_was_not_committed_are_not_counted(
    store: BlockListStore, undo: bool
) -> None:
    before, after = Reply(HOUR_MS - 1, b"late"), Reply(HOUR_MS + 1, b"soon")
    first = replace(a_batch(await whole(store)), replied={HELP: (before,)})
    await store.write(P, first)
    replied = {HELP: (before, after), START: (after,)}
    await store.write(P, next_batch(first, replied, {HELP: (before,)}))
    epoch = (await store.claim(P, at_least=0)).epoch
    await store.settle(P, epoch, undo=undo, whole=True)
    found = await counted(store, HELP, START, at_ms=HOUR_MS + 1)
    assert found == ({HELP: (before,)} if undo else replied)


async def test_an_undone_batch_of_many_hours_finds_what_it_found_before(
    store: BlockListStore,
) -> None:
    """A backlog is read in large batches, so its last message may be hours after its first."""
    old = tuple(Reply(NOW_MS + number, bytes(4)) for number in range(4))
    first = replace(a_batch(await whole(store)), replied={HELP: old}, since_ms=NOW_MS)
    await store.write(P, first)
    again_ms, last = NOW_MS + WINDOW_MS // 2, Reply(NOW_MS + 20 * WINDOW_MS, b"last")
    # HELP came again and was braked, so only the other brake has a new reply.
    batch = next_batch(first, {START: (last,)}, {})
    await store.write(P, replace(batch, since_ms=again_ms))
    epoch = (await store.claim(P, at_least=0)).epoch
    await store.settle(P, epoch, undo=True, whole=True)
    found = await counted(store, HELP, START, at_ms=again_ms)
    assert lately(found[HELP], again_ms) == 4
    assert START not in found


async def test_replies_are_remembered_in_a_rebuild(store: BlockListStore) -> None:
    epoch = await whole(store)
    for _ in range(2):
        await store.remember(P, epoch, [ONE], {HELP: (FIRST, SECOND)})
    found = await store.read(P, [], [ONE], [Brake(HELP, NOW_MS)])
    assert found.seen == {ONE.id}
    assert found.replied == {HELP: (FIRST, SECOND)}
    later = (await store.claim(P, at_least=0)).epoch
    with pytest.raises(Fenced):
        await store.remember(P, epoch, (), {START: (FIRST,)})
    await store.remember(P, later, (), {HELP: (FIRST, SECOND, THIRD)})
    assert await counted(store, HELP, START) == {HELP: (FIRST, SECOND, THIRD)}


async def test_redis_keeps_the_replies_of_three_hours_at_most(servers: None) -> None:
    async with redis_store(Settings().redis_url) as store:
        batch = a_batch(await whole(store))
        await store.write(P, batch)
        redis, pattern = store._client.redis, store._key(P, "replied:*")
        for number, at_ms in zip(range(60), count(NOW_MS, WINDOW_MS // 5), strict=False):
            brake = number.to_bytes(10)
            batch = next_batch(batch, {brake: (Reply(at_ms, bytes(4)),)}, {})
            await store.write(P, batch)
            keys = await redis.keys(pattern)
            assert len(keys) <= 3
        for key in keys:
            # Where no message comes, Redis forgets them all the same.
            assert 0 < await redis.pttl(key) <= 3 * WINDOW_MS
