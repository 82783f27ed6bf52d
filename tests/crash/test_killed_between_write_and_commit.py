"""A worker dies at a step of the lane; the next worker ends as if that had not happened."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from deploy.local import stack
from processor.config import Settings
from tests.builders import ACCOUNT, LONG_CODE, RECIPIENT
from tests.clinic import a_text, configure
from tests.crash.history import (
    BODIES,
    LATER,
    MESSAGES,
    assert_equal,
    outcome,
    sequential_model,
    whole,
)
from tests.crash.stopped_worker import killed, worker
from tests.installation import Installation, by_sid, running, until

pytestmark = pytest.mark.crash


KILLS: dict[str, Sequence[str]] = {
    "after the Redis write": ["written"],
    "with the transaction begun": ["emit"],
    "before the transaction": ["begin"],
    "after emit": ["last_look"],
    "before the commit": ["commit"],
    "with the commit sent and not answered": ["committing"],
    "after the commit": ["committed_batch"],
    "before the batch": ["process"],
    "twice after the Redis write": ["written", "written"],
    "after the write, and again before the undo": ["written", "recover"],
    "after the write, and again after the undo": ["written", "process"],
    "after emit, and again after the write": ["commit", "written", "emit"],
    "while taking the partition": ["claim", "producer", "committed", "recover", "undone"],
    "while joining, and while rebuilding": ["assigned", "rebuilding", "rebuilt"],
    "while joining again": ["revoked"],
}


@pytest.mark.parametrize("steps", KILLS.values(), ids=KILLS)
async def test_a_killed_worker_loses_nothing_and_doubles_nothing(
    settings: Settings, steps: Sequence[str]
) -> None:
    at = Installation(settings)
    await at.texts(*MESSAGES)
    for step in steps:
        await killed(settings, step)
    await finish(at)
    expected = sequential_model({"stop"})
    assert expected.blocked_by is None
    assert len(expected.changes) == 6
    assert_equal(await outcome(at), expected)


async def test_a_worker_killed_while_it_lets_go_loses_nothing_and_doubles_nothing(
    settings: Settings,
) -> None:
    # A busy machine must not cost the first its membership: it would let go before its time.
    mine = settings.model_copy(update={"session_timeout_s": 15.0})
    at = Installation(mine)
    await at.texts(*MESSAGES)
    async with worker(mine, "letting_go") as first:
        await at.wait_for_no_lag("match")
        await at.texts(*LATER)
        await finish(at)  # by another worker, to which the first hands it over
        assert await asyncio.wait_for(first.wait(), 60) == -9
    assert_equal(await outcome(at), sequential_model({"stop"}, bodies=[*BODIES, *BODIES]))


@pytest.mark.needs_more
@pytest.mark.parametrize(
    "steps", [["rebuilding"], ["rebuilt", "rebuilding"], ["written", "rebuilt"]]
)
async def test_a_list_whose_rebuild_was_cut_off_is_whole_in_the_end(
    settings: Settings, tmp_path: Path, steps: Sequence[str]
) -> None:
    others = [a_text(f"O{one}", "stop", **{"from": f"+1555000{one:04d}"}) for one in range(50)]
    with stack.valkey(tmp_path) as server:
        mine = settings.model_copy(update={"redis_url": f"redis://{server.address}/0"})
        at = Installation(mine)
        await at.texts(*others)
        await finish(at)
        await at.texts(*MESSAGES)
        for step in steps:
            async with Redis.from_url(mine.redis_url) as redis:
                await redis.flushall()
            await killed(mine, step)
        await finish(at)
        assert await whole(at)
        changes = by_sid(await at.values(at.topics.block_changes), "change_id")
        mended = [change for change in changes.values() if change["recipient"] == RECIPIENT]
        assert len(changes) == len(others) + len(mended)
        assert len(mended) == len(sequential_model({"stop"}).changes)


@pytest.mark.parametrize("step", ["written", "commit"])
async def test_a_configuration_changed_before_the_replay_decides_it(
    settings: Settings, step: str
) -> None:
    at = Installation(settings)
    await configure(settings, a_service("stop", "halt", reply="Out."))
    await at.texts(*MESSAGES)
    await killed(settings, step)
    # `halt` is not a keyword any more, so the replay must not see what it did in Redis.
    await configure(settings, a_service("stop", reply="You are out."))
    await finish(at)
    assert_equal(await outcome(at), sequential_model({"stop"}, "You are out."))


@pytest.mark.parametrize("step", ["written", "commit"])
async def test_a_keyword_added_before_the_replay_decides_it(settings: Settings, step: str) -> None:
    at = Installation(settings)
    await at.texts(*MESSAGES)
    await killed(settings, step)
    await configure(settings, a_service("stop", "halt", reply="You are out."))
    await finish(at)
    expected = sequential_model({"stop", "halt"}, "You are out.")
    assert expected.blocked_by == "M10"
    assert_equal(await outcome(at), expected)


def a_service(*stop_words: str, reply: str) -> dict[str, Any]:
    return {
        "sid": "MGclinic",
        "account_sid": ACCOUNT,
        "friendly_name": "Clinic reminders",
        "senders": [{"address": LONG_CODE}],
        "opt_out": {
            "enabled": True,
            "standard": {"STOP": {"keywords": list(stop_words), "reply": reply}},
        },
    }


async def finish(at: Installation) -> None:
    """Let a new worker take over, until nothing is left to read or rebuild."""
    async with running(at.settings.model_copy(update={"roles": ("match",)})) as runtime:
        await at.wait_for_no_lag("match")

        async def ready() -> bool:
            return not runtime.unready()

        await until(ready, "worker that has rebuilt its list")
