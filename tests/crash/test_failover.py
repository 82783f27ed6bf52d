"""Redis loses its last writes: the marks reveal it, and `block-list` restores them."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata
from redis.asyncio import Redis

from deploy.local import stack
from processor.cli.blocks import differences
from processor.config import Role, Settings
from processor.kafka.groups import committed_of, group_view
from processor.kafka.topics import topic_admin
from processor.worker.runtime import Runtime
from tests.clinic import a_send, a_text
from tests.crash.history import whole
from tests.crash.sharing import patient
from tests.crash.stopped_worker import frozen, killed, worker
from tests.installation import Installation, by_sid, running, until
from tests.switch import Switch, switch

pytestmark = pytest.mark.crash

EARLY = [f"+1555000{number:04d}" for number in range(30)]
LATE = [f"+1555001{number:04d}" for number in range(30)]  # their writes are lost
OTHERS = [f"+1555002{number:04d}" for number in range(30)]


class Pair(NamedTuple):
    """A master, its replica, and the two connections that can be cut."""

    settings: Settings
    replica: stack.Server
    clients: Switch
    replication: Switch

    async def follows(self) -> bool:
        """Whether the replica has all of the master's data."""
        async with (
            Redis(port=self.replica.port) as replica,
            Redis(port=self.replication.target or 0) as master,
        ):
            mine, its = await replica.info("replication"), await master.info("replication")
        up = mine["master_link_status"] == "up"
        return bool(up and mine["slave_repl_offset"] == its["master_repl_offset"])

    async def fail_over(self) -> None:
        """Remove the master; the replica takes its place."""
        self.clients.lead_to(self.replica.port)  # still a replica: gates must not use it
        async with Redis(port=self.replica.port) as replica:
            await replica.replicaof("NO", "ONE")


@pytest.fixture
async def pair(settings: Settings, tmp_path: Path) -> AsyncIterator[Pair]:
    (tmp_path / "replica").mkdir()
    with stack.valkey(tmp_path) as master, stack.valkey(tmp_path / "replica") as replica:
        async with switch(master.port) as clients, switch(master.port) as replication:
            async with Redis(port=replica.port) as told:
                await told.replicaof("127.0.0.1", replication.port)
                await told.config_set("repl-timeout", 5)
            made = Pair(
                settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{clients.port}/0"}),
                replica,
                clients,
                replication,
            )
            await until(made.follows, "replica")
            yield made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[stack.Server]:
    """A Redis for this test only, to kill and restart."""
    with stack.valkey(tmp_path) as server:
        yield server


@pytest.fixture
def mine(settings: Settings, server: stack.Server) -> Settings:
    return settings.model_copy(update={"redis_url": f"redis://{server.address}/0"})


def only(settings: Settings, role: Role) -> Settings:
    return settings.model_copy(update={"roles": (role,)})


async def stop(at: Installation, people: list[str], confirmed: int) -> None:
    """Let people text STOP, and wait until their confirmations are visible."""
    await at.texts(*(a_text(f"M{one[1:]}", "stop", **{"from": one}) for one in people))
    await at.wait_for(at.topics.reply_sends, confirmed)


async def assert_no_leak(at: Installation, name: str, blocked: list[str]) -> None:
    """Send to everyone: only the blocked are refused, and Redis matches the topic."""
    people = EARLY + LATE + OTHERS
    await at.sends(*(a_send(f"{name}{one[1:]}", to=one) for one in people))
    await at.wait_for_no_lag("gate")
    mine = [
        [value for value in await at.values(topic) if value["message_sid"].startswith(name)]
        for topic in (at.topics.allowed_sends, at.topics.message_statuses)
    ]
    assert len(by_sid([*mine[0], *mine[1]])) == len(people)
    assert {one["to"] for one in mine[1]} == set(blocked)
    partitions = range(at.settings.partitions)
    assert [await differences(at.settings, one) for one in partitions] == [set()] * len(partitions)


@pytest.mark.needs_more
async def test_r25_a_failover_that_lost_writes_is_mended(pair: Pair) -> None:
    at = Installation(pair.settings)
    async with running(pair.settings):
        await stop(at, EARLY, len(EARLY))
        await until(pair.follows, "replica")
        pair.replication.lead_to(None)
        await stop(at, LATE, len(EARLY + LATE))
        await pair.fail_over()
        await assert_no_leak(at, "S", EARLY + LATE)


@pytest.mark.needs_more
async def test_r25_a_gate_that_starts_during_such_a_failover_leaks_nothing(pair: Pair) -> None:
    at = Installation(pair.settings)
    async with running(only(pair.settings, "match")):
        await stop(at, EARLY, len(EARLY))
        await until(pair.follows, "replica")
        pair.replication.lead_to(None)
        await stop(at, LATE, len(EARLY + LATE))
    await pair.fail_over()
    await at.sends(*(a_send(f"W{one[1:]}", to=one) for one in LATE))
    async with running(only(pair.settings, "gate")) as gate:
        # It remembers no mark, and no owner restores the list.
        await until(lambda: waits(gate), "gate that waits")
        assert await at.values(at.topics.allowed_sends) == []
        async with running(only(pair.settings, "match")):
            await assert_no_leak(at, "S", EARLY + LATE)
    allowed = await at.values(at.topics.allowed_sends)
    assert {send["to"] for send in allowed} == set(OTHERS)


@pytest.mark.needs_more
async def test_r25_a_gate_leaks_nothing_on_a_master_that_was_a_replica_while_it_did_not_look(
    pair: Pair,
) -> None:
    """Its connection stays, and so does its last known mark; later writes are lost."""
    at = Installation(pair.settings)
    async with running(only(pair.settings, "gate")) as gate:
        async with running(only(pair.settings, "match")):
            await stop(at, EARLY, len(EARLY))
            await at.sends(*(a_send(f"A{one[1:]}", to=one) for one in OTHERS))
            await at.wait_for(at.topics.allowed_sends, len(OTHERS))
            await until(pair.follows, "replica")
            pair.replication.lead_to(None)
            await stop(at, LATE, len(EARLY + LATE))
        master = pair.clients.target
        async with Redis(port=pair.replica.port) as replica, Redis(port=master or 0) as told:
            await replica.replicaof("NO", "ONE")
            await told.replicaof("127.0.0.1", pair.replica.port)

            async def follows() -> bool:
                return bool((await told.info("replication"))["master_link_status"] == "up")

            await until(follows, "master that is a replica")
            await told.replicaof("NO", "ONE")
        await at.sends(a_send("W", to=LATE[0]))

        async def a_lane_waits() -> bool:
            return any("lost writes" in state.text for state in gate.states()["gate"])

        await until(a_lane_waits, "gate that waits")
        assert len(await at.values(at.topics.allowed_sends)) == len(OTHERS)
        async with running(only(pair.settings, "match")):
            await assert_no_leak(at, "S", EARLY + LATE)


async def save(server: stack.Server) -> None:
    """Let a Redis save its data for the next start."""
    async with Redis(port=server.port) as redis:
        await redis.save()


async def stop_around_a_save(at: Installation, server: stack.Server) -> None:
    """Early STOPs are in the snapshot, late STOPs are not."""
    await stop(at, EARLY, len(EARLY))
    await save(server)
    await stop(at, LATE, len(EARLY + LATE))


async def waits(gate: Runtime) -> bool:
    """Whether every lane that has a send waits for the list."""
    found = [state.text for state in gate.states()["gate"]]
    return len(found) == 4 and all("lost writes" in doing for doing in found)


@pytest.mark.needs_more
async def test_r25_an_old_snapshot_is_mended(mine: Settings, server: stack.Server) -> None:
    at = Installation(mine)
    async with running(mine):
        await stop_around_a_save(at, server)
        server.kill()
        server.start()
        async with Redis(port=server.port) as redis:
            assert await redis.dbsize() > 0
        await assert_no_leak(at, "S", EARLY + LATE)


@pytest.mark.needs_more
async def test_a_gate_goes_on_though_redis_went_back_while_nobody_owned_the_list(
    mine: Settings, server: stack.Server
) -> None:
    at = Installation(mine)
    async with running(only(mine, "gate")):
        async with running(only(mine, "match")):
            await stop(at, EARLY, len(EARLY))
            async with Redis(port=server.port) as redis:
                await redis.save()
                await redis.flushall()
            # Judged by a rebuilt list; no record has its mark.
            await at.sends(*(a_send(f"A{one[1:]}", to=one) for one in OTHERS))
            await at.wait_for(at.topics.allowed_sends, len(OTHERS))
        server.kill()
        server.start()
        async with running(only(mine, "match")):
            await assert_no_leak(at, "S", EARLY)


@pytest.mark.needs_more
async def test_r25_an_old_snapshot_is_mended_though_the_first_to_see_it_died(
    mine: Settings, server: stack.Server
) -> None:
    at = Installation(mine)
    async with running(only(mine, "match")):
        await stop_around_a_save(at, server)
    server.kill()
    server.start()
    await killed(mine, "undone")
    async with running(mine):
        await assert_no_leak(at, "S", EARLY + LATE)


async def test_r25_changes_that_came_to_nothing_have_their_mark_on_the_list(
    settings: Settings,
) -> None:
    at = Installation(settings)
    await at.texts(a_text("M0", "stop"), a_text("M1", "start"))  # in one batch
    async with running(only(settings, "match")):
        await at.wait_for(at.topics.reply_sends, 2)
    marks = {one["mark"] for one in await at.values(at.topics.block_changes)}
    [record] = await at.records(at.topics.block_list)
    assert {dict(record.headers)["mark"].decode()} == marks
    assert record.value is None


@pytest.mark.needs_more
@pytest.mark.parametrize("bodies", [("stop", "start"), ("help", "stop")])
async def test_what_redis_held_uncommitted_when_it_was_saved_is_not_taken_for_handled(
    mine: Settings, server: stack.Server, monkeypatch: pytest.MonkeyPatch, bodies: tuple[str, str]
) -> None:
    at = Installation(mine)
    await at.texts(*(a_text(f"M{number}", body) for number, body in enumerate(bodies)))
    async with worker(mine, "written", "SIGSTOP") as owner:
        await until(lambda: frozen(owner.pid), "frozen owner")
        await save(server)
        owner.kill()
    # The next owner commits only the first of the two, and dies.
    monkeypatch.setenv("OPTOUT_BATCH_RECORDS", "1")
    await killed(mine, "committed_batch")
    assert len(await at.values(at.topics.opt_out_notifications)) == 1
    server.kill()
    server.start()
    async with running(only(mine, "match")):
        await at.wait_for_no_lag("match")
        found = await at.values(at.topics.opt_out_notifications)
        assert [one["message_sid"] for one in found] == ["M0", "M1"]
        changes = [
            (one["cause"]["id"], one["blocked"]) for one in await at.values(at.topics.block_changes)
        ]
        assert changes == [
            (f"M{number}", body == "stop") for number, body in enumerate(bodies) if body != "help"
        ]
        assert await whole(at)


@pytest.mark.needs_more
async def test_r22_what_changed_no_block_is_known_though_redis_went_back_behind_it(
    mine: Settings, server: stack.Server
) -> None:
    at = Installation(mine)
    start = a_text("M1", "start")
    async with running(only(mine, "match")):
        await at.texts(a_text("M0", "help"))
        await at.wait_for_no_lag("match")
        await save(server)
        await at.texts(start)
        await at.wait_for_no_lag("match")
    server.kill()
    server.start()
    async with running(mine):
        await at.texts(a_text("M2", "stop"), start)
        await at.wait_for_no_lag("match")
        await at.sends(a_send("S1"))
        await at.wait_for_no_lag("gate")
    assert await at.values(at.topics.allowed_sends) == []


@pytest.mark.parametrize("note", ["", "moved by hand"])
async def test_where_another_moved_the_groups_offsets_the_list_is_rebuilt(
    settings: Settings, note: str
) -> None:
    at = Installation(settings)
    async with running(only(settings, "match")):
        await stop(at, EARLY, len(EARLY))
    sources = [TopicPartition(at.topics.inbound_messages, one) for one in range(4)]
    async with group_view(settings, f"{settings.topic_prefix}match") as group:
        group.assign(sources)
        offsets = (await committed_of(group, sources)).items()
        await group.commit({tp: OffsetAndMetadata(one.offset, note) for tp, one in offsets})
    redis = Redis.from_url(settings.redis_url)
    for partition in range(4):
        await redis.delete(f"{settings.topic_prefix}{{{partition}}}:entries")
    await redis.aclose()
    async with running(only(settings, "match")):
        await until(lambda: whole(at), "list that was rebuilt")


@pytest.mark.needs_more
@pytest.mark.parametrize("step", ["written", "last_look", "commit"])
async def test_r25_a_stop_in_hand_while_redis_goes_back_is_confirmed_to_no_gate_that_misses_it(
    mine: Settings, server: stack.Server, step: str
) -> None:
    mine = patient(mine)
    at = Installation(mine)
    async with running(only(mine, "gate")) as gate:

        async def judged_or_waits(sid: str) -> bool:
            verdicts = [
                *await at.values(at.topics.allowed_sends),
                *await at.values(at.topics.message_statuses),
            ]
            waits = any("list" in state.text for state in gate.states()["gate"])
            return waits or sid in [one["message_sid"] for one in verdicts]

        # Frozen before the confirmation is visible, and again as soon as it is.
        async with worker(mine, f"{step},committed_batch", "SIGSTOP", role="match") as owner:
            await at.sends(a_send("S0"))
            await at.wait_for(at.topics.allowed_sends, 1)
            await save(server)
            await at.texts(a_text("M1", "stop"))
            await until(lambda: frozen(owner.pid), "frozen owner")
            server.kill()
            server.start()
            await at.sends(a_send("S1"))  # so the gate learns which list to trust now
            await until(lambda: judged_or_waits("S1"), "gate that looked")
            owner.send_signal(signal.SIGCONT)
            await at.wait_for(at.topics.reply_sends, 1)
            await until(lambda: frozen(owner.pid), "frozen owner")
            await at.sends(a_send("S2"))
            await until(lambda: judged_or_waits("S2"), "gate that looked")
            owner.send_signal(signal.SIGCONT)
            await at.wait_for_no_lag("gate")
    assert "S2" in by_sid(await at.values(at.topics.message_statuses))


@pytest.fixture
async def careful(pair: Pair) -> Pair:
    """A pair whose master accepts no write without its replica, and workers that demand this."""
    async with (
        Redis(port=pair.replica.port) as replica,
        Redis(port=pair.clients.target or 0) as one,
    ):
        for each in (replica, one):
            await each.config_set("min-replicas-to-write", 1)
            await each.config_set("min-replicas-max-lag", 10)
    more = {"redis_min_replicas": 1, "redis_timeout_s": 1.0}
    return pair._replace(settings=pair.settings.model_copy(update=more))


@pytest.mark.needs_more
async def test_r25_a_stop_is_not_confirmed_until_a_replica_has_it(careful: Pair) -> None:
    at = Installation(careful.settings)
    master = careful.replication.target
    async with running(careful.settings) as worker:
        await stop(at, EARLY, len(EARLY))
        # A frozen replica still counts for a while.
        careful.replica.process.send_signal(signal.SIGSTOP)
        await at.texts(*(a_text(f"M{one[1:]}", "stop", **{"from": one}) for one in LATE))

        async def says_so() -> bool:
            return any("0 of 1 replicas" in why for why in worker.unready())

        await until(says_so, "worker that says what it waits for")
        assert len(await at.values(at.topics.reply_sends)) == len(EARLY)
        careful.replica.process.send_signal(signal.SIGCONT)
        await at.wait_for(at.topics.reply_sends, len(EARLY + LATE))
    # Confirmed writes are on the replica, so there is nothing to restore.
    careful.replication.lead_to(None)
    await careful.fail_over()
    gate = only(careful.settings, "gate").model_copy(update={"redis_min_replicas": 0})
    async with Redis(port=careful.replica.port) as alone:
        await alone.config_set("min-replicas-to-write", 0)
    async with running(gate):
        await assert_no_leak(at, "S", EARLY + LATE)
    assert master


@pytest.mark.needs_more
async def test_r25_a_gate_waits_at_a_master_that_was_cut_off_from_its_replica(
    careful: Pair,
) -> None:
    """Another server may be master by now, with opt-outs that this one lacks."""
    at = Installation(careful.settings)
    master = careful.replication.target
    async with running(careful.settings) as worker:
        await stop(at, EARLY, len(EARLY))
        await at.sends(a_send("S1", to=EARLY[0]), a_send("S2", to=OTHERS[0]))
        await at.wait_for_no_lag("gate")
        careful.replication.lead_to(None)
        await at.sends(*(a_send(f"W{one[1:]}", to=one) for one in EARLY + OTHERS))

        async def waits_for_replicas() -> bool:
            return any("gate" in why and "NOREPLICAS" in why for why in worker.unready())

        await until(waits_for_replicas, "gate that waits for replicas")
        assert len(await at.values(at.topics.allowed_sends)) == 1
        careful.replication.lead_to(master)
        await assert_no_leak(at, "X", EARLY)


@pytest.mark.needs_more
async def test_a_topic_created_anew_over_old_redis_data_is_a_lost_list(settings: Settings) -> None:
    at = Installation(settings)
    async with running(only(settings, "match")):
        await stop(at, EARLY, len(EARLY))
    admin = AIOKafkaAdminClient(**settings.kafka())
    await admin.start()
    await admin.delete_topics([at.topics.block_list])
    await admin.close()

    async def created() -> bool:
        return at.topics.block_list in (await topic_admin.create(settings)).created

    await until(created, "topic of the same name")
    await at.sends(*(a_send(f"W{one[1:]}", to=one) for one in OTHERS))
    async with running(only(settings, "gate")) as gate:

        async def waits_for_the_owner() -> bool:
            found = [state.text for state in gate.states()["gate"]]
            return len(found) == 4 and all("not whole" in doing for doing in found)

        await until(waits_for_the_owner, "gate that waits")
        assert await at.values(at.topics.allowed_sends) == []
        async with running(only(settings, "match")):
            await at.wait_for_no_lag("gate")
            await stop(at, LATE, len(EARLY + LATE))
            await assert_no_leak(at, "S", LATE)  # the topic is the truth, and contains no others
