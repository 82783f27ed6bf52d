"""R37: a brake counts exactly, whatever dies and whatever Redis loses."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.asyncio import Redis

from deploy.local import stack
from processor.config import Settings
from tests.clinic import a_text
from tests.crash.stopped_worker import killed
from tests.installation import Installation, running, until

pytestmark = pytest.mark.crash

EXPECTED = [*[("default", False)] * 4, *[("none", True)] * 3]


async def answers(at: Installation) -> list[tuple[str, bool]]:
    """The origin of each HELP's answer, and whether a brake kept it back."""
    told = await at.values(at.topics.opt_out_notifications)
    assert [one["message_sid"] for one in told] == [f"H{number}" for number in range(len(told))]
    replies = await at.values(at.topics.reply_sends)
    assert [one["in_reply_to"] for one in replies] == [
        one["message_sid"] for one in told if not one["braked"]
    ]
    return [(one["reply_sent"], one["braked"]) for one in told]


async def helps(at: Installation, *numbers: int) -> None:
    await at.texts(*(a_text(f"H{number}", "help") for number in numbers))


async def match(settings: Settings) -> None:
    """Run a worker until it has read everything."""
    async with running(settings.model_copy(update={"roles": ("match",)})) as runtime:
        await Installation(settings).wait_for_no_lag("match")

        async def ready() -> bool:
            return not runtime.unready()

        await until(ready, "worker that works")


@pytest.mark.parametrize(
    "steps",
    [
        ["written"],
        ["commit"],
        ["committing"],
        ["committed_batch"],
        ["written", "undone", "written"],
    ],
    ids=" ".join,
)
async def test_a_batch_that_died_with_its_worker_is_counted_once(
    settings: Settings, steps: list[str]
) -> None:
    at = Installation(settings)
    await helps(at, 0, 1)
    await match(settings)
    await helps(at, 2, 3, 4)
    for step in steps:
        await killed(settings, step)
    await helps(at, 5)
    await match(settings)
    await helps(at, 6)
    await match(settings)
    assert await answers(at) == EXPECTED


@pytest.mark.needs_more
@pytest.mark.parametrize("step", [None, "written", "rebuilding"])
async def test_a_redis_that_lost_everything_counts_again(
    settings: Settings, tmp_path: Path, step: str | None
) -> None:
    with stack.valkey(tmp_path) as server:
        mine = settings.model_copy(update={"redis_url": f"redis://{server.address}/0"})
        at = Installation(mine)
        await helps(at, 0, 1, 2)
        await match(mine)
        if step == "written":
            await helps(at, 3)
            await killed(mine, step)
        async with Redis.from_url(mine.redis_url) as redis:
            await redis.flushall()
        if step == "rebuilding":
            await killed(mine, step)
        if step != "written":
            await helps(at, 3)
        await helps(at, 4, 5, 6)
        await match(mine)
        assert await answers(at) == EXPECTED
        async with Redis.from_url(mine.redis_url) as redis:
            keys = await redis.keys(f"{mine.topic_prefix}*:replied:*")
        assert len(keys) in (1, 2)  # an hour may have ended meanwhile
