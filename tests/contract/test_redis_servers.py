"""The Redis server that answered a read, and whether it can be trusted."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from redis.asyncio import Redis

from deploy.local import stack
from processor.core.blocks import Mark
from processor.errors import ConfigError, StoreUnavailable
from processor.stores.redis_block_list import RedisBlockList
from processor.stores.redis_client import RedisClient
from processor.stores.trusted_list import TrustedList
from tests.contract.redis_topologies import replicated_cluster
from tests.contract.test_block_list_store import ANN, BOB, P, a_batch, redis_store, whole
from tests.installation import until
from tests.switch import switch
from tests.unit.test_whole_list import Truth

pytestmark = pytest.mark.needs_more

LAG_S = 2  # how long a replica may be silent


class Pair(NamedTuple):
    """Two servers, the second a replica of the first."""

    first: stack.Server
    second: stack.Server

    @property
    def url(self) -> str:
        return f"redis://{self.first.address}/0"


@asynccontextmanager
async def pair(directory: Path) -> AsyncIterator[Pair]:
    (directory / "second").mkdir()
    with stack.valkey(directory) as first, stack.valkey(directory / "second") as second:
        await follow(second, first)
        yield Pair(first, second)


async def follow(server: stack.Server, master: stack.Server) -> None:
    async with Redis(port=server.port) as told, Redis(port=master.port) as asked:
        await told.replicaof("127.0.0.1", master.port)

        async def follows() -> bool:
            mine, its = await told.info("replication"), await asked.info("replication")
            has_all = mine["slave_repl_offset"] == its["master_repl_offset"]
            return bool(mine["master_link_status"] == "up" and has_all)

        await until(follows, "replica")


async def promote(server: stack.Server) -> None:
    async with Redis(port=server.port) as told:
        await told.replicaof("NO", "ONE")


async def set_up(server: stack.Server, **settings: object) -> None:
    async with Redis(port=server.port) as told:
        for name, value in settings.items():
            await told.config_set(name.replace("_", "-"), str(value))


async def needs_a_replica(server: stack.Server) -> None:
    await set_up(server, min_replicas_to_write=1, min_replicas_max_lag=LAG_S)


async def server_of(store: RedisBlockList) -> bytes:
    return (await store.read(P, [])).server


async def test_a_new_connection_to_the_same_server_is_no_other_server(tmp_path: Path) -> None:
    with stack.valkey(tmp_path) as server:
        url = f"redis://{server.address}/0"
        async with redis_store(url) as one, redis_store(url) as another:
            first = await server_of(one)
            assert await server_of(another) == first
            async with Redis(port=server.port) as told:
                await told.client_kill_filter(_type="normal", skipme=True)
            assert await server_of(one) == first


async def test_a_server_that_restarted_is_another_one(tmp_path: Path) -> None:
    with stack.valkey(tmp_path) as server:
        async with redis_store(f"redis://{server.address}/0") as store:
            before = await server_of(store)
            async with Redis(port=server.port) as told:
                await told.save()
            server.kill()
            server.start()
            assert await server_of(store) != before


async def test_r25_a_master_that_was_a_replica_meanwhile_is_another_one(tmp_path: Path) -> None:
    """It has what its master had: what it took before may be gone, over the same connection."""
    async with pair(tmp_path) as two, redis_store(two.url) as store:
        epoch = await whole(store)
        await promote(two.second)
        before = await store.read(P, [ANN])
        await store.write(P, a_batch(epoch))
        before_ids = await ids_of_scripts(two.first)
        await follow(two.first, two.second)
        await promote(two.first)
        after = await store.read(P, [ANN])
        assert (after.meta.mark, list(after.values)) == (before.meta.mark, [None])  # it went back
        assert after.server != before.server
        assert await ids_of_scripts(two.first) == before_ids != set()


async def test_in_a_cluster_the_node_that_wrote_is_asked_for_its_replicas(tmp_path: Path) -> None:
    async with (
        replicated_cluster(tmp_path) as (url, replicas),
        redis_store(url, min_replicas=1, timeout_s=2) as store,
    ):
        for port in replicas:
            async with Redis(port=port) as told:
                await told.config_set("min-replicas-to-write", 1)
        await store._client.check()

        def replica_of(partition: int) -> stack.Server:
            return replicas[
                store._client.redis.get_node_from_key(store._key(partition, "meta")).port
            ]

        other = next(one for one in range(12) if replica_of(one) is not replica_of(P))
        epoch = await whole(store, {BOB: b"[2]"})
        other_epoch = await whole(store, {BOB: b"[2]"}, other)
        silent = replica_of(P)
        silent.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailable, match="0 of 1 replicas have the last write"):
                await store.write(P, a_batch(epoch))
            await store.write(other, a_batch(other_epoch))  # whose node has its replica
        finally:
            silent.process.send_signal(signal.SIGCONT)
        await store.write(P, a_batch(epoch))


async def ids_of_scripts(server: stack.Server) -> set[str]:
    """The connections that last ran a script."""
    async with Redis(port=server.port) as told:
        return {one["id"] for one in await told.client_list() if one["cmd"].startswith("eval")}


async def test_a_new_connection_sends_no_reader_to_kafka(tmp_path: Path) -> None:
    with stack.valkey(tmp_path) as server:
        async with redis_store(f"redis://{server.address}/0") as store:
            truth = Truth()
            lists = [TrustedList(one, partitions=12, store=store, truth=truth) for one in range(4)]
            for partition, one in enumerate(lists):
                await whole(store, partition=partition)
                await one.learn()
            for _ in range(3):
                looks = asyncio.gather(*(one.look([]) for one in lists))
                await asyncio.wait_for(looks, 10)
                async with Redis(port=server.port) as told:
                    await told.client_kill_filter(_type="normal", skipme=True)
            assert truth.asked == len(lists)


async def test_r25_a_reader_of_a_master_that_went_back_over_one_connection_waits(
    tmp_path: Path,
) -> None:
    async with pair(tmp_path) as two, redis_store(two.url) as store:
        epoch = await whole(store)
        truth = Truth()
        truth.last = Mark(epoch, 2)
        reader = TrustedList(P, partitions=12, store=store, truth=truth)
        await reader.learn()
        await asyncio.wait_for(reader.look([]), 10)
        await promote(two.second)
        await store.write(P, a_batch(epoch))  # which the reader does not see, and which is lost
        truth.last = Mark(epoch, 3)
        await follow(two.first, two.second)
        await promote(two.first)
        looking = asyncio.create_task(reader.look([ANN]))

        async def waits() -> bool:
            return reader.waits_for == "Redis lost writes; the owner of the list rebuilds it"

        await until(waits, "reader that waits")
        assert not looking.done()
        await store.write(P, a_batch(epoch))
        found = await asyncio.wait_for(looking, 10)
        assert list(found.values) == [b"[1]"]


async def test_a_replica_is_left_for_the_master_behind_the_same_address(tmp_path: Path) -> None:
    async with (
        pair(tmp_path) as two,
        switch(two.first.port) as address,
        redis_store(f"redis://127.0.0.1:{address.port}/0") as store,
    ):
        await whole(store)
        before = await server_of(store)
        await promote(two.second)
        address.target = two.second.port  # of new connections
        await follow(two.first, two.second)
        with pytest.raises(StoreUnavailable, match="READONLY: this server is a replica now"):
            await store.read(P, [])
        assert await server_of(store) not in (before, b"")


async def test_a_replica_that_may_be_written_to_is_not_believed(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        await set_up(two.second, replica_read_only="no")
        async with redis_store(f"redis://{two.second.address}/0") as store:
            with pytest.raises(StoreUnavailable, match="a replica answered"):
                await store.read(P, [])


async def test_a_batch_written_again_is_confirmed_by_replicas_too(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        async with redis_store(two.url) as store:
            epoch = await whole(store)
        two.second.process.send_signal(signal.SIGSTOP)
        try:
            # Another connection: WAIT there does not count what this one wrote.
            for _ in range(2):
                made = redis_store(two.url, prefix=store._prefix, min_replicas=1, timeout_s=1)
                async with made as again:
                    with pytest.raises(StoreUnavailable, match="0 of 1 replicas"):
                        await again.write(P, a_batch(epoch))
        finally:
            two.second.process.send_signal(signal.SIGCONT)


async def test_r25_a_master_that_lost_its_replica_answers_no_gate(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        await needs_a_replica(two.first)
        async with redis_store(two.url, min_replicas=1) as store:
            await store._client.check()
            epoch = await whole(store)
            await store.write(P, a_batch(epoch))

            async def refuses() -> bool:
                try:
                    await store.read(P, [ANN])
                except StoreUnavailable as error:
                    return "NOREPLICAS: too few replicas follow" in str(error)
                return False

            async def answers() -> bool:
                return not await refuses()

            two.second.process.send_signal(signal.SIGSTOP)
            try:
                await until(refuses, "refusal")
            finally:
                two.second.process.send_signal(signal.SIGCONT)
            await until(answers, "answer")
            assert list((await store.read(P, [ANN, BOB])).values) == [b"[1]", None]


async def test_a_server_that_needs_no_replicas_is_refused_and_its_answers_are_not_believed(
    tmp_path: Path,
) -> None:
    async with pair(tmp_path) as two, redis_store(two.url, min_replicas=1) as store:
        await whole(store)
        remedy = "CONFIG SET min-replicas-to-write 1 and CONFIG SET min-replicas-max-lag 10"
        for to_write, max_lag_s in ((0, 10), (1, 0)):
            await set_up(two.first, min_replicas_to_write=to_write, min_replicas_max_lag=max_lag_s)
            with pytest.raises(StoreUnavailable, match=remedy):
                await store.read(P, [])  # before any check
            with pytest.raises(ConfigError, match=remedy):
                await store._client.check()
        # How long a replica may be silent only a check can find.
        await set_up(two.first, min_replicas_to_write=1, min_replicas_max_lag=10)
        await store._client.check()
        await store.read(P, [])
        await set_up(two.first, min_replicas_max_lag=60)
        with pytest.raises(ConfigError, match=remedy):
            await store._client.check()
        with pytest.raises(StoreUnavailable, match=remedy):
            await store.read(P, [])
        await needs_a_replica(two.first)
        await store._client.check()
        await store.read(P, [])


async def test_where_config_may_not_be_asked_info_says_whether_replicas_are_needed(
    tmp_path: Path,
) -> None:
    async with pair(tmp_path) as two:
        async with Redis(port=two.first.port) as told:
            await told.acl_setuser(
                "careful",
                enabled=True,
                passwords=["+word"],
                keys=["*"],
                categories=["+@all"],
                commands=["-config"],
            )
        client = RedisClient(two.url.replace("//", "//careful:word@"), timeout_s=5, min_replicas=1)
        try:
            with pytest.raises(ConfigError, match="min-replicas-to-write"):
                await client.check()
            await needs_a_replica(two.first)
            await client.check()
        finally:
            await client.close()


async def test_a_server_that_evicts_is_not_believed_until_that_is_mended(tmp_path: Path) -> None:
    with stack.valkey(tmp_path) as server:
        async with redis_store(f"redis://{server.address}/0") as store:
            await set_up(server, maxmemory_policy="allkeys-lru")
            with pytest.raises(ConfigError, match="noeviction"):
                await store._client.check()
            with pytest.raises(StoreUnavailable, match="would forget opt-outs"):
                await store.read(P, [])
            await set_up(server, maxmemory_policy="noeviction")
            await store._client.check()
            await store.read(P, [])


async def test_a_long_list_that_is_replaced_is_freed_in_the_background(tmp_path: Path) -> None:
    with stack.valkey(tmp_path) as server:
        await set_up(server, lazyfree_lazy_server_del="no")
        async with redis_store(f"redis://{server.address}/0") as store:
            entries: dict[str, bytes | None] = {f"AC1/+1555{one:07d}": b"[1]" for one in range(999)}
            epoch = await whole(store, entries)
            await store.begin_rebuild(P, epoch)
            await store.add_rebuilt(P, epoch, entries)
            async with Redis(port=server.port) as told:
                await told.config_resetstat()
                await whole(store, entries)  # instead of the first, and of what was begun

                async def freed() -> bool:
                    return int((await told.info("memory"))["lazyfreed_objects"]) == 2

                await until(freed, "two lists that were freed in the background", 5)
