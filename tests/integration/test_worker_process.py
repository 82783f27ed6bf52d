"""The worker as a process: its start, its output, its end."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from deploy.local import stack
from processor.config import Settings
from processor.kafka.topics import topic_admin
from tests.clinic import a_send, a_text
from tests.installation import Installation, running, until
from tests.processes import OPTOUT, environment, started

FAUST = (sys.executable, "-m", "faust", "-A", "processor.app", "worker", "-l", "info")


@pytest.mark.parametrize("command", [OPTOUT, FAUST], ids=["optout worker", "faust worker"])
async def test_sigterm_ends_a_worker_with_everything_committed(
    settings: Settings, command: tuple[str, ...]
) -> None:
    at = Installation(settings)
    async with started(command, **environment(settings)) as worker:
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
        await at.sends(a_send("S1"), a_send("S2"))
        await at.wait_for(at.topics.message_statuses, 2)
        await at.texts(a_text("M2", "no keyword"))
        assert await worker.ends(signal.SIGTERM) == 0
    assert "Traceback" not in worker.said
    assert await at.lag("gate") == 0
    for personal in ("5557654321", "no keyword", "appointment"):
        assert personal not in worker.said


async def test_two_workers_on_one_host_find_ports_of_their_own(settings: Settings) -> None:
    async with started(OPTOUT, **environment(settings)) as first:
        await first.says("lane.taken")
        async with started(OPTOUT, **environment(settings)) as second:
            await second.says("lane.taken")
            assert await second.ends(signal.SIGTERM) == 0
        assert await first.ends(signal.SIGTERM) == 0


@pytest.mark.parametrize("command", [OPTOUT, FAUST], ids=["optout worker", "faust worker"])
async def test_wrong_settings_are_all_named_at_once(command: tuple[str, ...]) -> None:
    wrong = {
        "OPTOUT_PARTITIONS": "many",
        "OPTOUT_REDIS_URL": "localhost",
        "OPTOUT_ROLES": "match,gatekeeper",
        "OPTOUT_BLOCK_SCOPE": "world",
    }
    async with started(command, **wrong) as worker:
        assert await worker.ends() == 2
    assert [line.partition(":")[0] for line in worker.said.splitlines()] == [
        "OPTOUT_REDIS_URL",
        "OPTOUT_PARTITIONS",
        "OPTOUT_ROLES",
        "OPTOUT_BLOCK_SCOPE",
    ]


async def test_without_a_broker_it_waits_and_says_for_what_and_where(servers: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with started(OPTOUT, OPTOUT_KAFKA_BOOTSTRAP=f"127.0.0.1:{port}") as worker:
        await worker.says(f"Kafka at 127.0.0.1:{port}")
        assert await worker.ends(signal.SIGTERM) in (0, -signal.SIGTERM)
    assert "Traceback" not in worker.said


@pytest.mark.needs_more
async def test_without_a_redis_it_waits_and_goes_on_when_there_is_one(
    settings: Settings, tmp_path: Path
) -> None:
    at = Installation(settings)
    with stack.valkey(tmp_path) as server:
        server.kill()
        mine = environment(settings) | {"OPTOUT_REDIS_URL": f"redis://{server.address}/0"}
        async with started(OPTOUT, **mine) as worker:
            await worker.says("Redis: ConnectionError")
            await at.texts(a_text("M1", "stop"))
            await asyncio.to_thread(server.start)
            await at.wait_for(at.topics.reply_sends, 1)
            assert await worker.ends(signal.SIGTERM) == 0
    assert "Traceback" not in worker.said


@pytest.mark.needs_more
async def test_a_worker_whose_broker_is_gone_ends_when_it_is_told_to(
    settings: Settings, tmp_path: Path
) -> None:
    with stack.kafka(tmp_path) as server:
        mine = environment(settings) | {"OPTOUT_KAFKA_BOOTSTRAP": server.address}
        await topic_admin.create(settings.model_copy(update={"kafka_bootstrap": server.address}))
        async with started(OPTOUT, **mine) as worker:
            await worker.says("lane.taken")
            server.kill()
            assert await worker.ends(signal.SIGTERM) == 0


@pytest.mark.needs_more
async def test_a_redis_that_evicts_is_refused(settings: Settings, tmp_path: Path) -> None:
    with stack.valkey(tmp_path) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as told:
            told.sendall(b"CONFIG SET maxmemory-policy allkeys-lru\r\n")
            assert told.recv(16) == b"+OK\r\n"
        mine = environment(settings) | {"OPTOUT_REDIS_URL": f"redis://{server.address}/0"}
        async with started(OPTOUT, **mine) as worker:
            assert await worker.ends() == 2
    assert "CONFIG SET maxmemory-policy noeviction" in worker.said


async def test_another_partition_count_than_the_topics_is_refused(settings: Settings) -> None:
    mine = environment(settings) | {"OPTOUT_PARTITIONS": "6"}
    async with started(OPTOUT, **mine) as worker:
        assert await worker.ends() == 2
    assert "4 partitions where 6 are expected" in worker.said


async def test_topics_that_are_given_more_partitions_stop_match_and_gate(
    settings: Settings,
) -> None:
    at = Installation(settings)
    async with running(settings) as runtime:
        await at.sends(a_send("S1"))
        await at.wait_for(at.topics.allowed_sends, 1)
        admin = AIOKafkaAdminClient(**settings.kafka())
        await admin.start()
        await admin.create_partitions(
            {
                topic: NewPartitions(settings.partitions + 2)
                for topic in (at.topics.inbound_messages, at.topics.outbound_messages)
            }
        )
        await admin.close()

        async def stopped() -> bool:
            for lanes in runtime.lanes.values():
                if lanes._member:
                    await lanes._member.client.force_metadata_update()
            return all(lanes.unfit and not lanes.states() for lanes in runtime.lanes.values())

        await until(stopped, "worker that stops")
        for why in runtime.unready():
            assert "6 partitions where 4 are expected" in why
        await at.sends(a_send("S2"))
    assert len(await at.values(at.topics.allowed_sends)) == 1


async def test_workers_that_start_together_share_a_host(settings: Settings) -> None:
    at = Installation(settings)
    async with AsyncExitStack() as running_workers:
        workers = [
            await running_workers.enter_async_context(started(OPTOUT, **environment(settings)))
            for _ in range(3)
        ]
        await asyncio.gather(*(worker.says("lane.taken") for worker in workers))
        await at.sends(a_send("S1"))
        await at.wait_for(at.topics.allowed_sends, 1)
        assert [await worker.ends(signal.SIGTERM) for worker in workers] == [0, 0, 0]
