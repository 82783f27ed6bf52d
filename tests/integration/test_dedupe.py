"""R22: no worker handles a message twice, and epochs only grow."""

from __future__ import annotations

import time

from redis.asyncio import Redis

from processor.app import Runtime
from processor.config import Settings
from processor.core.blocks import Mark
from processor.core.identity import cause_of
from processor.wire.blocks import MARK_HEADER
from tests.builders import RECIPIENT, command_record
from tests.installation import Installation, by_sid, running
from tests.integration.test_flow import a_send, a_text

DAY_MS = 24 * 3_600_000


async def test_r22_another_worker_knows_what_the_last_one_handled(settings: Settings) -> None:
    at = Installation(settings)
    only = settings.model_copy(update={"roles": ("match",)})
    start, stop = a_text("M1", "start"), a_text("M2", "stop")
    command = command_record(command_id="C1", recipient="+15550000001")
    for _ in range(3):  # each time another worker
        async with running(only):
            await at.texts(start, stop, start)
            await at.write(at.topics.consent_commands, command)
            await at.wait_for_no_lag("match")
            # And two workers that share the partitions, one of which goes.
            async with running(only):
                await at.texts(start)
                await at.wait_for_no_lag("match")
    notifications = by_sid(await at.values(at.topics.opt_out_notifications))
    assert set(notifications) == {"M1", "M2"}
    changes = await at.values(at.topics.block_changes)
    assert sorted(change["cause"]["id"] for change in changes) == ["C1", "M2"]
    async with running(settings):
        await at.sends(a_send("S1"))
        [failed] = await at.wait_for(at.topics.message_statuses, 1)
    assert cause_of(failed["block"]["change_id"]) == "M2"


async def put_clock_ahead(settings: Settings) -> int:
    """Epochs as a Redis gives them whose clock is a day ahead, until its data are lost."""
    ahead_ms = time.time_ns() // 1_000_000 + DAY_MS
    runtime = Runtime(settings)
    for partition in range(settings.partitions):
        await runtime.store.claim(partition, at_least=ahead_ms)
    await runtime.store.close()
    return ahead_ms


async def lose_list(settings: Settings) -> None:
    async with Redis.from_url(settings.redis_url) as redis:
        lost = [key async for key in redis.scan_iter(f"{settings.topic_prefix}*")]
        assert lost
        await redis.delete(*lost)


async def test_an_epoch_is_greater_than_the_last_even_by_a_clock_that_went_back(
    settings: Settings,
) -> None:
    """Seen from Redis, a clock of a day ahead went back when its data were lost."""
    at = Installation(settings)
    ahead_ms = await put_clock_ahead(settings)
    # Help changes no block, so it leaves no record on the block list.
    for number, body in enumerate(["stop", "start", "stop", "help", "start"]):
        async with running(settings):
            await at.texts(a_text(f"M{number}", body))
            await at.wait_for_no_lag("match")
        await lose_list(settings)
    marks = [Mark.parse(one["mark"]) for one in await at.values(at.topics.block_changes)]
    assert marks == sorted(marks)
    epochs = [mark.epoch for mark in marks]
    assert len(set(epochs)) == 4
    assert epochs[0] > ahead_ms
    assert epochs[3] > epochs[2] + 1  # whoever answered the help had one
    async with running(settings):
        await at.sends(a_send("S1", to=RECIPIENT))
        await at.wait_for(at.topics.allowed_sends, 1)


async def test_an_epoch_is_greater_than_one_under_which_only_the_gate_judged(
    settings: Settings,
) -> None:
    """Else the gate that judged waits for the clock, and verdicts carry marks of times to come."""
    at = Installation(settings)
    async with running(settings):
        await at.texts(a_text("M1", "stop"), a_text("M2", "start"))
        await at.wait_for_no_lag("match")
    await lose_list(settings)
    ahead_ms = await put_clock_ahead(settings)
    async with running(settings):
        await at.sends(a_send("S1", to=RECIPIENT))
        await at.wait_for(at.topics.allowed_sends, 1)
    [allowed] = await at.records(at.topics.allowed_sends)
    judged = Mark.parse(dict(allowed.headers)[MARK_HEADER].decode())
    assert judged.epoch > ahead_ms
    await lose_list(settings)
    async with running(settings):
        await at.texts(a_text("M3", "stop"))
        *_, change = await at.wait_for(at.topics.block_changes, 3)
    assert Mark.parse(change["mark"]) > judged
