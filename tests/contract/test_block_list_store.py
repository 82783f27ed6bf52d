"""The contract of a block list store, for the memory store and the real Redis store alike."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from deploy.local import stack
from processor.config import Settings
from processor.core.blocks import NO_MARK, ConfigView, Mark
from processor.core.brakes import Brake, Reply
from processor.core.identity import Handled
from processor.errors import Fenced, ListLost, NewerFormat, StoreUnavailable
from processor.stores.block_list import FORMAT, BlockListStore, Format
from processor.stores.redis_client import RedisClient
from tests.builders import NOW_MS
from tests.contract.redis_topologies import cluster, sentinel, tls
from tests.contract.stores import ANN, BOB, ONE, SEEN_MS, THREE, TWO, P, a_batch, redis_store, whole
from tests.installation import until

TOPOLOGIES = {"tls": tls, "cluster": cluster, "sentinel": sentinel}


async def test_every_claim_has_a_greater_epoch(store: BlockListStore) -> None:
    first = await store.claim(P, at_least=0)
    second = await store.claim(P, at_least=first.epoch + 1_000_000)
    third = await store.claim(P, at_least=0)
    assert first.epoch > 1_000_000_000_000  # the server's clock in ms
    assert second.epoch == first.epoch + 1_000_001
    assert third.epoch == second.epoch + 1


async def test_a_new_list_is_not_whole(store: BlockListStore) -> None:
    meta = await store.claim(P, at_least=0)
    assert (meta.mark, meta.ready, meta.partitions) == (Mark(0, 0), None, None)
    with pytest.raises(ListLost):
        await store.write(P, replace(a_batch(meta.epoch), expected=Mark(0, 0)))


async def test_a_batch_is_read_back_with_its_mark_and_its_ids(store: BlockListStore) -> None:
    epoch = await whole(store, {BOB: b"[2]"})
    await store.write(P, a_batch(epoch))
    found = await store.read(P, [ANN, BOB], [ONE, TWO, THREE])
    assert list(found.values) == [b"[1]", None]
    assert found.seen == {ONE.id, TWO.id}
    assert (found.meta.epoch, found.meta.mark) == (epoch, Mark(epoch, 3))
    assert (found.meta.ready, found.meta.partitions) == ("topic", 12)


async def test_a_rebuild_of_which_redis_lost_a_part_does_not_make_a_list_whole(
    servers: None,
) -> None:
    async with redis_store(Settings().redis_url) as store:
        epoch = (await store.claim(P, at_least=0)).epoch
        await store.begin_rebuild(P, epoch)
        redis, keys = store._client.redis, [store._key(P, "meta"), store._key(P, "rebuilt")]
        before = await redis.dump(keys[0])
        await store.add_rebuilt(P, epoch, {ANN: b"[1]"})
        # A failover brings back what was there before.
        await redis.delete(*keys)
        await redis.restore(keys[0], 0, before)
        with pytest.raises(ListLost):
            await store.finish_rebuild(P, epoch, mark=Mark(epoch, 2), ready="t", partitions=12)
        assert (await store.read(P, [ANN])).meta.ready is None


@pytest.mark.parametrize(
    ("later_ms", "known"), [(0, True), (SEEN_MS - 1, True), (3 * SEEN_MS, False)]
)
async def test_r22_ids_are_remembered_by_when_their_records_were_appended(
    store: BlockListStore, later_ms: int, known: bool
) -> None:
    epoch = (await store.claim(P, at_least=0)).epoch
    await store.remember(P, epoch, [ONE, THREE])
    asked = [one._replace(at_ms=NOW_MS + later_ms) for one in (ONE, TWO, THREE)]
    assert (await store.read(P, [], asked)).seen == ({ONE.id, THREE.id} if known else set())


async def test_an_id_is_not_found_between_two_others(servers: None) -> None:
    """Ids are searched in one string: a match must begin where an id does."""
    before, after = (Handled(bytes([1, 2, *half]), NOW_MS) for half in ([0] * 7 + [7], [8] * 8))
    between = Handled(bytes([1, 2, 7, *[8] * 7]), NOW_MS)
    async with redis_store(Settings().redis_url) as store:
        epoch = (await store.claim(P, at_least=0)).epoch
        await store.remember(P, epoch, [before, after])
        assert (await store.read(P, [], [before, between, after])).seen == {before.id, after.id}
        await store.remember(P, epoch, [between])
        found = await store.read(P, [], [before, between, after])
        assert found.seen == {before.id, between.id, after.id}


async def test_what_a_list_is_decided_under_is_read_back(store: BlockListStore) -> None:
    epoch = await whole(store)
    assert (await store.read(P, [])).meta.config is None
    await store.write(P, replace(a_batch(epoch), config=ConfigView("topic:id", 17)))
    meta = (await store.read(P, [])).meta
    assert (meta.config, meta.format) == (ConfigView("topic:id", 17), FORMAT)
    # The next owner says at once what it decides under: the topic may have been replaced since.
    later = (await store.claim(P, at_least=0)).epoch
    await store.settle(P, later, undo=False, whole=True, config=ConfigView("new", 0))
    assert (await store.read(P, [])).meta.config == ConfigView("new", 0)


async def test_an_owner_takes_no_list_of_a_newer_format(servers: None) -> None:
    async with redis_store(Settings().redis_url) as store:
        epoch = await whole(store)
        await store._client.redis.hset(store._key(P, "meta"), "format", "3 2")
        with pytest.raises(NewerFormat):
            await store.claim(P, at_least=0)
        meta = (await store.read(P, [])).meta
        assert (meta.epoch, meta.format) == (epoch, Format(3, 2))


async def test_a_claim_tells_how_long_there_was_no_owner(store: BlockListStore) -> None:
    assert (await store.claim(P, at_least=0)).unheard_ms is None
    await asyncio.sleep(0.05)
    unheard_ms = (await store.claim(P, at_least=0)).unheard_ms
    assert unheard_ms is not None
    assert unheard_ms >= 50


async def test_entries_are_found_by_account_and_by_recipient(store: BlockListStore) -> None:
    entries: dict[str, bytes | None] = {
        f"AC{account}/{prefix}+1555000000{number}": b"[1]"
        for account in (1, 2)
        for prefix in ("", "whatsapp:")
        for number in range(3)
    }
    await whole(store, entries)
    mine = {key async for key, _ in store.entries(P, account_sid="AC1")}
    assert mine == {key for key in entries if key.startswith("AC1/")}
    on = {key async for key, _ in store.entries(P, list_key="+15550000001")}
    assert on == {"AC1/+15550000001", "AC2/+15550000001"}
    both = store.entries(P, account_sid="AC2", list_key="whatsapp:+15550000002")
    assert [key async for key, _ in both] == ["AC2/whatsapp:+15550000002"]


async def test_writing_a_batch_twice_alters_nothing(store: BlockListStore) -> None:
    epoch = await whole(store, {BOB: b"[2]"})
    await store.write(P, a_batch(epoch))
    await store.write(P, a_batch(epoch))
    assert list((await store.read(P, [ANN, BOB])).values) == [b"[1]", None]


async def test_a_batch_at_another_mark_is_refused(store: BlockListStore) -> None:
    epoch = await whole(store)
    with pytest.raises(ListLost):
        await store.write(P, replace(a_batch(epoch), expected=Mark(epoch, 1)))
    assert list((await store.read(P, [ANN])).values) == [None]


async def test_an_older_owner_cannot_write(store: BlockListStore) -> None:
    old = await whole(store)
    await store.write(P, a_batch(old))
    await store.claim(P, at_least=0)
    with pytest.raises(Fenced):
        await store.write(P, replace(a_batch(old), expected=Mark(old, 3), mark=Mark(old, 4)))
    with pytest.raises(Fenced):
        await store.settle(P, old, undo=True, whole=True)
    for rebuild in (
        store.begin_rebuild(P, old),
        store.add_rebuilt(P, old, {ANN: b"[1]"}),
        store.remember(P, old, [ONE]),
        store.finish_rebuild(P, old, mark=Mark(old, 2), ready="topic", partitions=12),
    ):
        with pytest.raises(Fenced):
            await rebuild
    found = await store.read(P, [ANN])
    assert (list(found.values), found.meta.mark) == ([b"[1]"], Mark(old, 3))


async def test_a_lost_epoch_is_no_owner(store: BlockListStore) -> None:
    await whole(store)
    with pytest.raises(ListLost):
        await store.write(P, a_batch(9_999_999_999_999))


@pytest.mark.parametrize("undo", [True, False])
async def test_a_batch_is_undone_if_its_owner_did_not_commit_it(
    store: BlockListStore, undo: bool
) -> None:
    await store.write(P, a_batch(await whole(store, {BOB: b"[2]"})))
    epoch = (await store.claim(P, at_least=0)).epoch
    assert await store.settle(P, epoch, undo=undo, whole=True) == undo
    found = await store.read(P, [ANN, BOB], [ONE, TWO])
    assert (found.meta.mark, found.meta.ready) == (Mark(epoch, 1), "topic")
    assert not await store.settle(P, epoch, undo=True, whole=True)
    if undo:
        assert list(found.values) == [None, b"[2]"]
        assert found.seen == frozenset()
    else:
        assert list(found.values) == [b"[1]", None]
        assert found.seen == {ONE.id, TWO.id}


async def test_a_list_that_lost_writes_says_so_with_its_new_mark(store: BlockListStore) -> None:
    await whole(store)
    epoch = (await store.claim(P, at_least=0)).epoch
    assert not await store.settle(P, epoch, undo=True, whole=False)
    meta = (await store.read(P, [])).meta
    assert (meta.mark, meta.ready) == (Mark(epoch, 1), None)


async def test_an_owner_is_heard_when_it_claims_writes_and_beats(store: BlockListStore) -> None:
    assert (await store.read(P, [])).meta.unheard_ms is None
    epoch = await whole(store, {BOB: b"[2]"})
    for heard in (
        store.write(P, a_batch(epoch)),
        store.beat(P, epoch, NO_MARK),
        store.claim(P, at_least=0),
    ):
        await asyncio.sleep(0.1)
        before = (await store.read(P, [])).meta.unheard_ms
        await heard
        after = (await store.read(P, [])).meta.unheard_ms
        assert before is not None
        assert after is not None
        assert after < before
    with pytest.raises(Fenced):
        await store.beat(P, epoch, NO_MARK)


async def test_changes_are_committed_as_far_as_an_owner_says_or_finds_them_so(
    store: BlockListStore,
) -> None:
    async def committed() -> Mark:
        return (await store.read(P, [])).meta.committed

    assert await committed() == NO_MARK
    epoch = await whole(store)
    assert await committed() == Mark(epoch, 2)  # as it was rebuilt
    batch = a_batch(epoch)
    await store.write(P, batch)
    assert await committed() == Mark(epoch, 2)
    assert (await store.beat(P, epoch, batch.mark)).committed == batch.mark
    later = (await store.claim(P, at_least=0)).epoch
    assert await committed() == batch.mark
    await store.settle(P, later, undo=True, whole=True)
    assert await committed() == Mark(later, 1)


@pytest.mark.needs_more
@pytest.mark.parametrize("topology", ["single", "cluster"])
async def test_a_batch_that_no_replica_has_is_not_written(topology: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as running:
        if topology == "cluster":
            url = await running.enter_async_context(cluster(tmp_path))
        else:
            server = running.enter_context(stack.valkey(tmp_path))
            url = f"redis://{server.address}/0"
        made = redis_store(url, min_replicas=1, timeout_s=1)
        store = await running.enter_async_context(made)
        epoch = await whole(store, {BOB: b"[2]"})
        with pytest.raises(StoreUnavailable, match="0 of 1 replicas have the last write"):
            await store.write(P, a_batch(epoch))


@pytest.mark.needs_more
async def test_a_batch_is_written_once_a_replica_has_it(tmp_path: Path) -> None:
    (tmp_path / "replica").mkdir()
    with stack.valkey(tmp_path) as master, stack.valkey(tmp_path / "replica") as follower:
        replica = Redis(host="127.0.0.1", port=follower.port)
        await replica.replicaof("127.0.0.1", master.port)
        async with redis_store(f"redis://{master.address}/0", min_replicas=1) as store:

            async def follows() -> bool:
                return bool((await replica.info("replication"))["master_link_status"] == "up")

            await until(follows, "replica")
            epoch = await whole(store, {BOB: b"[2]"})
            await store.write(P, a_batch(epoch))
            assert await replica.hget(store._key(P, "entries"), ANN) == b"[1]"
            with pytest.raises(Fenced):
                await store.write(P, replace(a_batch(epoch), epoch=1))
        await replica.aclose()


async def test_a_rebuilt_list_takes_the_place_of_the_old(store: BlockListStore) -> None:
    await whole(store, {ANN: b"[old]"})
    epoch = (await store.claim(P, at_least=0)).epoch
    await store.begin_rebuild(P, epoch)
    assert (await store.read(P, [ANN])).meta.ready is None
    await store.add_rebuilt(P, epoch, {ANN: b"[1]", BOB: b"[2]"})
    await store.add_rebuilt(P, epoch, {ANN: None})
    await store.finish_rebuild(P, epoch, mark=Mark(epoch, 2), ready="other", partitions=24)
    found = await store.read(P, [ANN, BOB])
    assert list(found.values) == [None, b"[2]"]
    assert (found.meta.mark, found.meta.ready, found.meta.partitions) == (
        Mark(epoch, 2),
        "other",
        24,
    )
    assert [entry async for entry in store.entries(P)] == [(BOB, b"[2]")]


async def test_a_list_rebuilt_from_nothing_is_empty(store: BlockListStore) -> None:
    await whole(store, {ANN: b"[old]"})
    await whole(store)
    assert [entry async for entry in store.entries(P)] == []


async def test_ten_thousand_recipients_are_read_in_one_look(store: BlockListStore) -> None:
    entries: dict[str, bytes | None] = {
        f"+1555{number:07d}": str(number).encode() for number in range(10_000)
    }
    await whole(store, entries)
    asked = [f"+1555{number:07d}" for number in range(5_000, 15_000)]
    assert list((await store.read(P, asked)).values) == [entries.get(key) for key in asked]


async def test_declared_lost_a_list_is_not_whole(store: BlockListStore) -> None:
    epoch = await whole(store)
    await store.declare_lost(P)
    assert (await store.read(P, [])).meta.ready is None
    with pytest.raises(ListLost):
        await store.write(P, a_batch(epoch))


@pytest.mark.parametrize("finds", ["beat", "write"])
async def test_an_owner_finds_that_a_reader_asked_for_a_rebuild(
    store: BlockListStore, finds: str
) -> None:
    epoch = await whole(store)
    await store.ask_for_rebuild(P)
    assert (await store.read(P, [])).meta.ready == "topic"  # the reader itself changes nothing
    if finds == "beat":
        assert (await store.beat(P, epoch, NO_MARK)).ready is None
    else:
        with pytest.raises(ListLost):
            await store.write(P, a_batch(epoch))
    assert (await store.read(P, [ANN])).meta.ready is None
    await whole(store)
    await store.ask_for_rebuild(P)
    epoch = await whole(store)  # rebuilt for another reason
    assert (await store.beat(P, epoch, NO_MARK)).ready == "topic"


async def test_partitions_do_not_know_each_other(store: BlockListStore) -> None:
    await whole(store, {ANN: b"[1]"})
    found = await store.read(P + 1, [ANN], [ONE])
    assert (list(found.values), found.meta.ready) == ([None], None)


@pytest.mark.needs_more
@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_every_kind_of_redis_keeps_every_partition(topology: str, tmp_path: Path) -> None:
    async with TOPOLOGIES[topology](tmp_path) as url, redis_store(url) as store:
        for partition in range(12):
            epoch = (await store.claim(partition, at_least=0)).epoch
            await store.begin_rebuild(partition, epoch)
            await store.add_rebuilt(partition, epoch, {ANN: b"[1]"})
            await store.finish_rebuild(
                partition, epoch, mark=Mark(epoch, 2), ready="topic", partitions=12
            )
            replied = {b"a brake...": (Reply(NOW_MS, b"one!"),)}
            batch = replace(a_batch(epoch), after={BOB: b"[2]"}, replied=replied, since_ms=NOW_MS)
            await store.write(partition, batch)
            brakes = [Brake(one, NOW_MS) for one in replied]
            assert (await store.read(partition, [], [], brakes)).replied == replied
            later = (await store.claim(partition, at_least=0)).epoch
            assert await store.settle(partition, later, undo=True, whole=True)
            found = await store.read(partition, [ANN, BOB], [ONE])
            assert (list(found.values), found.seen) == ([None, b"[2]"], frozenset())
            assert (await store.read(partition, [], [], brakes)).replied == {}
            assert len(found.server) == 40
            assert dict([entry async for entry in store.entries(partition)]) == {BOB: b"[2]"}


async def test_several_partitions_are_read_in_one_trip(store: BlockListStore) -> None:
    epoch = await whole(store, {ANN: b"[1]"})
    found = await store.read_many({P: [BOB, ANN], P + 1: [ANN]})
    assert [list(found[place].values) for place in (P, P + 1)] == [[None, b"[1]"], [None]]
    assert (found[P].meta.mark, found[P + 1].meta.ready) == (Mark(epoch, 2), None)


async def test_a_scan_in_steps_finds_what_is_there_all_the_while(store: BlockListStore) -> None:
    entries: dict[str, bytes | None] = {
        f"+1556{number:07d}": str(number).encode() for number in range(2_000)
    }
    epoch = await whole(store, entries)
    cursor, first = await store.scan(P, 0, about=100)
    gone = [key for key, _ in first][:50]
    before = {key: entries.pop(key) for key in gone}
    after = {**dict.fromkeys(gone), ANN: b"[1]"}
    await store.write(P, replace(a_batch(epoch), after=after, before={**before, ANN: None}))
    found, steps = dict(first), 1
    while cursor:
        cursor, some = await store.scan(P, cursor, about=100)
        found |= dict(some)
        steps += 1
    assert steps > 2
    assert {key: found.get(key) for key in entries} == entries
    assert await store.scan(P + 1, 0, about=100) == (0, [])


async def test_a_cancel_that_comes_as_a_command_is_sent_is_heard(servers: None) -> None:
    client = RedisClient(Settings().redis_url, timeout_s=5)
    try:
        await client.redis.ping()
        (connection,) = client.redis.connection_pool._available_connections
        send = connection._send_packed_command

        async def told_meanwhile(command: object) -> None:
            await send(command)
            asyncio.get_running_loop().call_soon(task.cancel)

        connection._send_packed_command = told_meanwhile
        task = asyncio.ensure_future(client.redis.ping())
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await client.redis.ping()
    finally:
        await client.close()
