"""The contract of session stores, in memory and in Redis."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from deploy.local import stack
from processor.config import Settings
from processor.errors import StoreUnavailable
from processor.stores.redis_client import RedisClient
from processor.stores.sessions import MOST, MemorySessions, OpenSessions, RedisSessions
from tests.builders import ACCOUNT, OTHER_ACCOUNT
from tests.contract.redis_topologies import cluster
from tests.installation import until

HOUR_MS = 3_600_000


@pytest.fixture(params=["memory", "redis"])
async def sessions(request: pytest.FixtureRequest) -> AsyncIterator[OpenSessions]:
    if request.param == "memory":
        yield MemorySessions()
        return
    request.getfixturevalue("servers")
    client = RedisClient(Settings().redis_url, timeout_s=5)
    yield RedisSessions(client, prefix=f"t{uuid.uuid4().hex[:12]}.")
    await client.close()


async def opened(sessions: OpenSessions, owner: str, session: str, until_ms: int = 1) -> None:
    await sessions.open(owner, session, until_ms=until_ms, for_ms=HOUR_MS)


async def test_a_session_is_open_from_sign_in_to_sign_out(sessions: OpenSessions) -> None:
    assert not await sessions.is_open(ACCOUNT, "s1")
    for owner in (ACCOUNT, OTHER_ACCOUNT, "operator/jane"):
        await opened(sessions, owner, "s1")
        await opened(sessions, owner, "s2")
    await sessions.end(ACCOUNT, "s1")
    await sessions.end(ACCOUNT, "s1")
    assert [await sessions.is_open(ACCOUNT, one) for one in ("s1", "s2")] == [False, True]
    assert await sessions.is_open(OTHER_ACCOUNT, "s1")
    assert await sessions.is_open("operator/jane", "s1")
    assert not await sessions.is_open("operator/joe", "s1")


async def test_of_an_owner_only_the_latest_are_kept(sessions: OpenSessions) -> None:
    await opened(sessions, OTHER_ACCOUNT, "another's", 0)
    for number in range(MOST + 2):
        await opened(sessions, ACCOUNT, f"s{number}", number)
    found = [await sessions.is_open(ACCOUNT, f"s{number}") for number in range(MOST + 2)]
    assert found == [False, False, *[True] * MOST]
    assert await sessions.is_open(OTHER_ACCOUNT, "another's")


async def test_redis_forgets_an_owner_who_does_not_sign_in_again(servers: None) -> None:
    prefix = f"t{uuid.uuid4().hex[:12]}."
    client = RedisClient(Settings().redis_url, timeout_s=5)
    sessions = RedisSessions(client, prefix=prefix)
    before = time.time()
    await opened(sessions, ACCOUNT, "s1")
    async with Redis.from_url(Settings().redis_url) as redis:
        [key] = [key async for key in redis.scan_iter(f"{prefix}*")]
        assert key == f"{prefix}session:{ACCOUNT}".encode()
        left_ms = await redis.pttl(key)
    assert HOUR_MS - 1_000 * (time.time() - before) - 1 <= left_ms <= HOUR_MS
    await client.close()


@pytest.mark.needs_more
async def test_sessions_of_a_cluster_are_where_their_keys_are(tmp_path: Path) -> None:
    async with cluster(tmp_path) as url:
        client = RedisClient(url, timeout_s=5)
        sessions = RedisSessions(client, prefix="t.")
        for number in range(20):
            await opened(sessions, f"AC{number}", "s1")
            assert await sessions.is_open(f"AC{number}", "s1")
        await client.close()


async def test_a_server_that_is_away_tells_of_no_session() -> None:
    client = RedisClient("redis://127.0.0.1:1/0", timeout_s=1)
    sessions = RedisSessions(client, prefix="t.")
    for asked in (
        sessions.is_open(ACCOUNT, "s1"),
        sessions.end(ACCOUNT, "s1"),
        opened(sessions, ACCOUNT, "s1"),
    ):
        with pytest.raises(StoreUnavailable):
            await asked
    await client.close()


@pytest.mark.needs_more
async def test_a_replica_that_may_not_have_heard_of_a_sign_out_tells_of_no_session(
    tmp_path: Path,
) -> None:
    homes = [tmp_path / name for name in ("master", "replica")]
    for home in homes:
        home.mkdir()
    with stack.valkey(homes[0]) as master, stack.valkey(homes[1]) as replica:
        clients = [
            RedisClient(f"redis://127.0.0.1:{one.port}/0", timeout_s=5) for one in (master, replica)
        ]
        await opened(RedisSessions(clients[0], prefix="t."), ACCOUNT, "s1")
        async with Redis(port=replica.port) as redis:
            await redis.replicaof("127.0.0.1", master.port)

            async def follows() -> bool:
                return bool(await redis.exists(f"t.session:{ACCOUNT}"))

            await until(follows, "replica")
        with pytest.raises(StoreUnavailable):
            await RedisSessions(clients[1], prefix="t.").is_open(ACCOUNT, "s1")
        for client in clients:
            await client.close()
