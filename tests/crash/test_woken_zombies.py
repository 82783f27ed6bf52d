"""A frozen worker wakes after another took its partitions: it is fenced, and nothing doubles."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from deploy.local import stack
from processor.config import Settings
from tests.clinic import a_text
from tests.crash.history import (
    BODIES,
    LATER,
    MESSAGES,
    assert_equal,
    outcome,
    sequential_model,
    whole,
)
from tests.crash.stopped_worker import frozen, worker
from tests.installation import Installation, running, until

pytestmark = [pytest.mark.crash, pytest.mark.needs_more]

FROZEN = {
    "between its epoch and its producer's start": "producer",
    "after the Redis write": "written",
    "after emit, before commit": "commit",
    "while rebuilding": "rebuilding",
}


@pytest.mark.parametrize("emptied", [False, True], ids=["Redis kept", "Redis emptied meanwhile"])
@pytest.mark.parametrize("step", FROZEN.values(), ids=FROZEN)
async def test_a_zombie_that_wakes_writes_nothing(
    settings: Settings, tmp_path: Path, step: str, emptied: bool
) -> None:
    with stack.valkey(tmp_path) as server:
        mine = settings.model_copy(update={"redis_url": f"redis://{server.address}/0"})
        at = Installation(mine)
        await at.texts(*MESSAGES)
        async with worker(mine, step, "SIGSTOP") as zombie:
            await until(lambda: frozen(zombie.pid), "frozen worker")
            async with running(mine.model_copy(update={"roles": ("match",)})):
                await at.wait_for_no_lag("match")
                if emptied:
                    redis = Redis.from_url(mine.redis_url)
                    await redis.flushall()
                    await redis.aclose()
                zombie.send_signal(signal.SIGCONT)
                await at.texts(*LATER)
                await at.wait_for_no_lag("match")
            # The woken worker has what is left, and must have rejoined.
            await at.texts(a_text(f"M{2 * len(BODIES)}", "stop"))
            await at.wait_for_no_lag("match")
            await until(lambda: whole(at), "whole block list")
            assert zombie.returncode is None
        assert_equal(
            await outcome(at), sequential_model({"stop"}, bodies=[*BODIES, *BODIES, "stop"])
        )
