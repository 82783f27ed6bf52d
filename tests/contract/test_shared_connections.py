"""Many lanes share a few connections to Redis, and do not feel each other."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from deploy.local import stack
from processor.errors import StoreUnavailable
from processor.stores.redis_block_list import RedisBlockList
from tests.contract.redis_topologies import cluster, sentinel
from tests.contract.test_block_list_store import ANN, BOB, a_batch, redis_store, whole

pytestmark = pytest.mark.needs_more

LANES = 300
A_HANDFUL = 5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[stack.Server]:
    with stack.valkey(tmp_path) as made:
        yield made


def url_of(server: stack.Server) -> str:
    return f"redis://{server.address}/0"


async def connections(server: stack.Server) -> int:
    """The number of a server's clients besides the caller."""
    async with Redis(port=server.port) as asked:
        return len(await asked.client_list()) - 1


async def look(store: RedisBlockList, lanes: int = LANES) -> list[object]:
    """Each lane reads, writes and reads; return the results."""

    async def lane(partition: int) -> object:
        epoch = await whole(store, {BOB: str(partition).encode()}, partition)
        after = {ANN: f"[{partition}]".encode()}
        await store.write(partition, replace(a_batch(epoch), after=after))
        return list((await store.read(partition, [ANN, BOB])).values)

    return list(await asyncio.gather(*map(lane, range(lanes)), return_exceptions=True))


def expected(lanes: int = LANES) -> list[object]:
    return [[f"[{lane}]".encode(), str(lane).encode()] for lane in range(lanes)]


async def test_300_lanes_work_at_once_over_a_handful_of_connections(server: stack.Server) -> None:
    async with redis_store(url_of(server)) as store:
        assert await look(store) == expected()
        assert await connections(server) <= A_HANDFUL


async def test_300_lanes_work_at_once_on_a_cluster(tmp_path: Path) -> None:
    async with cluster(tmp_path) as url, redis_store(url) as store:
        assert await look(store) == expected()
        primaries = store._client.redis.get_primaries()
        assert len(primaries) == 3
        for one in primaries:
            async with Redis(port=one.port) as asked:
                found = [each for each in await asked.client_list() if each["flags"] == "N"]
                assert len(found) - 1 <= A_HANDFUL + 1  # and one that reads the map


async def test_300_lanes_find_sentinels_master_over_a_handful_of_connections(
    tmp_path: Path,
) -> None:
    async with sentinel(tmp_path) as url, redis_store(url) as store:
        assert await look(store) == expected()
        assert len(await store._client.redis.client_list()) <= A_HANDFUL + 4  # Sentinel's own


async def test_a_server_that_never_answers_fails_all_who_ask_and_is_left(
    server: stack.Server,
) -> None:
    async with redis_store(url_of(server), timeout_s=0.5) as store:
        assert await look(store, 20) == expected(20)
        server.process.send_signal(signal.SIGSTOP)
        try:
            reads = (store.read(lane, [ANN]) for lane in range(20))
            failed = await asyncio.gather(*reads, return_exceptions=True)
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert {str(one) for one in failed} == {"Redis: no answer within 0.5 s"}
        assert {type(one) for one in failed} == {StoreUnavailable}
        assert await look(store, 20) == expected(20)
        assert await connections(server) <= A_HANDFUL  # the others are closed


async def test_a_server_that_restarted_is_found_at_once(server: stack.Server) -> None:
    async with redis_store(url_of(server)) as store:
        assert await look(store, 20) == expected(20)
        server.kill()
        server.start()
        assert await look(store, 20) == expected(20)


async def test_who_gives_up_takes_no_answer_from_others(server: stack.Server) -> None:
    async with redis_store(url_of(server)) as store:
        assert await look(store, 20) == expected(20)
        server.process.send_signal(signal.SIGSTOP)
        reads = [asyncio.ensure_future(store.read(lane, [ANN, BOB])) for lane in range(20)]
        await asyncio.sleep(0)  # all of them have asked
        await asyncio.sleep(0)  # and their pipeline is on its way
        given_up = reads[::3]
        for one in given_up:
            one.cancel()
        late = [asyncio.ensure_future(store.read(lane, [ANN, BOB])) for lane in range(20)]
        await asyncio.sleep(0)
        late[7].cancel()  # not sent yet
        server.process.send_signal(signal.SIGCONT)
        found = await asyncio.gather(*reads, return_exceptions=True)
        for lane, each in enumerate(found):
            if reads[lane] in given_up:
                assert isinstance(each, asyncio.CancelledError)
            else:
                assert not isinstance(each, BaseException)
                assert list(each.values) == expected(20)[lane]
        del late[7]
        assert len(await asyncio.gather(*late)) == 19


async def test_a_client_that_is_closed_leaves_nobody_waiting(server: stack.Server) -> None:
    async with redis_store(url_of(server), timeout_s=60) as store:
        await whole(store)
        server.process.send_signal(signal.SIGSTOP)
        try:
            reads = [asyncio.ensure_future(store.read(lane, [ANN])) for lane in range(20)]
            await asyncio.sleep(0)
            await store.close()
            failed = await asyncio.gather(*reads, return_exceptions=True)
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert {type(one) for one in failed} == {StoreUnavailable}


async def test_a_slot_that_moved_is_no_confirmation_and_is_found_next_time(tmp_path: Path) -> None:
    async with cluster(tmp_path) as url, redis_store(url) as store:
        epoch = await whole(store)
        key = store._key(3, "meta")
        moved_to = await move_slot(store, key)
        with pytest.raises(StoreUnavailable, match="MovedError"):
            await store.write(3, a_batch(epoch))
        async with Redis(port=moved_to) as there:
            assert await there.exists(key) == 0
        assert await whole(store) > 0  # on the server that has the slot now


async def move_slot(store: RedisBlockList, key: str) -> int:
    """Give a key's slot to another server, without what is in it; that server's port."""
    redis: Any = store._client.redis
    slot, owner = redis.keyslot(key), redis.get_node_from_key(key)
    assert owner is not None
    primaries = redis.get_primaries()
    new = next(one for one in primaries if one.name != owner.name)
    keys = await owner.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100)
    await owner.execute_command("DEL", *keys)
    there = await new.execute_command("CLUSTER", "MYID")
    for one in (new, *primaries):
        await one.execute_command("CLUSTER", "SETSLOT", slot, "NODE", there)
    return int(new.port)
