"""Redis loses everything under load: the gate waits, the owner rebuilds, nothing leaks."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from deploy.local import stack
from processor.cli.blocks import differences
from processor.config import Settings
from processor.core.blocks import Mark
from processor.kafka.topics.block_list_topic import mark_of
from tests.builders import ACCOUNT, NOW, RECIPIENT
from tests.clinic import a_send, a_text
from tests.installation import Installation, by_sid, running, until

pytestmark = pytest.mark.crash

BLOCKED = [f"+1555000{number:04d}" for number in range(60)]
OTHERS = [f"+1555001{number:04d}" for number in range(60)]
ROUNDS = 5
REPLIES = 4  # to one recipient's HELPs within an hour
SENDS = 200

Fault = Callable[[stack.Server], None]


def emptied(server: stack.Server) -> None:
    async def flush() -> None:
        redis = Redis.from_url(f"redis://{server.address}/0")
        await redis.flushall()
        await redis.aclose()

    asyncio.run(flush())


def restarted_empty(server: stack.Server) -> None:
    server.kill()
    server.start()


@pytest.mark.needs_more
@pytest.mark.parametrize("fault", [emptied, restarted_empty])
async def test_r25_redis_that_forgets_under_load_leaks_nothing(
    settings: Settings, tmp_path: Path, fault: Fault
) -> None:
    chance = random.Random(fault.__name__)
    with stack.valkey(tmp_path) as server:
        mine = settings.model_copy(update={"redis_url": f"redis://{server.address}/0"})
        at = Installation(mine)
        async with running(mine):
            await at.texts(*(a_text(f"STOP{one[1:]}", "stop", **{"from": one}) for one in BLOCKED))
            await at.wait_for(at.topics.reply_sends, len(BLOCKED))
            # Every confirmation is visible: from now on no send may reach these recipients.
            for number in range(ROUNDS):
                sends = [
                    a_send(f"S{number}.{one}", to=chance.choice(BLOCKED + OTHERS))
                    for one in range(SENDS)
                ]
                stops = [a_text(f"M{number}.{one[1:]}", "stop", **{"from": one}) for one in BLOCKED]
                helps = [a_text(f"H{number}.{one[1:]}", "help", **{"from": one}) for one in OTHERS]
                await at.sends(*sends[: SENDS // 2])
                # On a thread, so that the lanes continue meanwhile.
                await asyncio.gather(
                    asyncio.to_thread(fault, server),
                    at.sends(*sends[SENDS // 2 :]),
                    at.texts(*stops, *helps),
                )
            count = ROUNDS * SENDS
            allowed, failed = await verdicts(at, count)
            assert [send for send in allowed if send["to"] in BLOCKED] == []
            assert [status for status in failed if status["to"] in OTHERS] == []
            # A START still lifts a block that the rebuild restored.
            await at.texts(a_text("START", "start", **{"from": BLOCKED[0]}))
            await at.wait_for_no_lag("match")
            replies = [one["to"] for one in await at.values(at.topics.reply_sends)]
            # R37: the brake counted on while Redis was lost.
            assert Counter(replies) == Counter([*BLOCKED, *OTHERS * REPLIES, BLOCKED[0]])
            before = len(await at.values(at.topics.allowed_sends))
            await at.sends(a_send("WELCOME", to=BLOCKED[0]))
            await at.wait_for(at.topics.allowed_sends, before + 1)
            found = [await differences(mine, partition) for partition in range(mine.partitions)]
            assert found == [set()] * mine.partitions
        assert_no_effect_twice(await at.values(at.topics.block_changes))
        assert_marks_grow(await at.records(at.topics.allowed_sends))


@pytest.mark.needs_more
@pytest.mark.parametrize("fault", [emptied, restarted_empty])
async def test_r22_what_is_delivered_again_has_no_effect_though_redis_forgot_it(
    settings: Settings, tmp_path: Path, fault: Fault
) -> None:
    start, stop = a_text("M1", "start"), a_text("M2", "stop")
    command = {
        "command_id": "M1",
        "account_sid": ACCOUNT,
        "scope": "account",
        "recipient": RECIPIENT,
        "channel_group": "sms",
        "blocked": False,
        "source": "operator",
        "at": NOW,
    }
    with stack.valkey(tmp_path) as server:
        mine = settings.model_copy(update={"redis_url": f"redis://{server.address}/0"})
        at = Installation(mine)
        async with running(mine):
            await at.write(at.topics.consent_commands, command)
            await at.texts(start, stop)
            await at.wait_for(at.topics.opt_out_notifications, 2)
            await at.wait_for_no_lag("match")
        await asyncio.to_thread(fault, server)
        async with running(mine):
            # Carried out twice, they would lift the block.
            await at.write(at.topics.consent_commands, command)
            await at.texts(start, stop, a_text("M3", "help"))
            await at.wait_for(at.topics.opt_out_notifications, 3)
            await at.wait_for_no_lag("match")
            await at.sends(a_send("S1"))
            await at.wait_for(at.topics.message_statuses, 1)
        said = [one["message_sid"] for one in await at.values(at.topics.opt_out_notifications)]
        assert said == ["M1", "M2", "M3"]
        assert len(await at.values(at.topics.block_changes)) == 1


async def test_what_an_older_owner_commits_while_its_partition_is_taken_is_not_missed(
    settings: Settings,
) -> None:
    at = Installation(settings)
    async with running(settings):
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
        await at.texts(a_text("M2", "start"))
        await at.wait_for(at.topics.reply_sends, 2)
    # As if a batch later there was another STOP, which a failed-over Redis has lost.
    blocked, last = await at.records(at.topics.block_list)
    lifted = mark_of(last.headers)
    mark = [("mark", str(Mark(lifted.epoch, lifted.counter + 1)).encode())]

    async def commit_late() -> None:
        async with AIOKafkaProducer(**settings.kafka()) as producer:
            await producer.send_and_wait(
                blocked.topic,
                blocked.value,
                key=blocked.key,
                partition=blocked.partition,
                headers=mark,
            )

    steps: list[str] = []

    def at_step(step: str) -> None:
        steps.append(step)
        if (step, steps.count(step)) == ("producer", settings.partitions):
            # Every epoch is taken, and no older producer is fenced yet.
            commit = Thread(target=lambda: asyncio.run(commit_late()))
            commit.start()
            commit.join()

    async with running(settings, at_step):
        await at.sends(a_send("S1"))
        await at.wait_for(at.topics.message_statuses, 1)
    assert await at.values(at.topics.allowed_sends) == []


async def verdicts(at: Installation, count: int) -> tuple[list[Any], list[Any]]:
    """The allowed and the failed sends, when all have been judged; no send has two verdicts."""
    found: tuple[list[Any], list[Any]] = ([], [])

    async def judged() -> bool:
        nonlocal found
        found = (
            await at.values(at.topics.allowed_sends),
            await at.values(at.topics.message_statuses),
        )
        return len(found[0]) + len(found[1]) >= count

    await until(judged, f"{count} verdicts")
    assert len(by_sid([*found[0], *found[1]])) == count
    return found


def assert_no_effect_twice(changes: list[dict[str, Any]]) -> None:
    """Each recipient was blocked once, whatever Redis forgot, and there is one START."""
    assert len(by_sid(changes, "change_id")) == len(BLOCKED) + 1


def assert_marks_grow(records: list[Any]) -> None:
    """A gate's marks of a partition never go backwards."""
    seen: dict[int, Mark] = {}
    for record in records:
        mark = Mark.parse(dict(record.headers)["mark"].decode())
        assert mark >= seen.get(record.partition, mark)
        seen[record.partition] = mark
