"""A worker dies at a step of the lane; the next one ends in what would have been without that."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from redis.asyncio import Redis

from deploy.local import stack
from processor.cli.blocks import differences
from processor.config import Role, Settings
from processor.core.identity import cause_of
from tests.builders import ACCOUNT, LONG_CODE, RECIPIENT
from tests.installation import Installation, by_sid, running, until
from tests.integration.test_flow import a_text, configure

pytestmark = pytest.mark.crash

# All of one recipient, written before any worker is there: one batch.
BODIES = (
    "stop",
    "help",
    "start",
    "halt",
    "STOP",
    "help",
    "Start",
    "help",
    "stop!",
    "unstop",
    "halt",
)
MESSAGES = [a_text(f"M{number}", body) for number, body in enumerate(BODIES)]

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


class Expected(NamedTuple):
    """The results of the history, by a separate model."""

    changes: list[tuple[str, bool]]
    replies: list[tuple[str, str]]
    notifications: list[str]
    blocked_by: str | None


def sequential_model(
    stop_words: set[str], stop_reply: str | None = None, *, bodies: Sequence[str] = BODIES
) -> Expected:
    """One recipient's history, one message after another: no batch, no crash."""
    changes, replies, notifications = [], [], []
    blocked_by = None
    for number, body in enumerate(bodies):
        sid, word = f"M{number}", body.lower().strip("!")
        if word in stop_words:
            if blocked_by is None:
                blocked_by = sid
                changes.append((sid, True))
                replies.append((sid, stop_reply or "You have successfully been unsubscribed."))
        elif word in ("start", "unstop"):
            if blocked_by is not None:
                changes.append((sid, False))
            blocked_by = None
            replies.append((sid, "You have successfully been re-subscribed"))
        elif word == "help":
            if blocked_by is None:
                replies.append((sid, "Reply STOP to unsubscribe."))
        else:
            continue
        notifications.append(sid)
    return Expected(changes, replies, notifications, blocked_by)


@asynccontextmanager
async def worker(
    settings: Settings, step: str, sign: str = "SIGKILL", *, role: Role = "match"
) -> AsyncIterator[Process]:
    """A worker that sends itself a signal when it first comes to a step."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.crash.killed_worker", step, sign),
        env=os.environ
        | {
            "OPTOUT_TOPIC_PREFIX": settings.topic_prefix,
            "OPTOUT_PARTITIONS": str(settings.partitions),
            "OPTOUT_SESSION_TIMEOUT_S": str(settings.session_timeout_s),
            "OPTOUT_REDIS_URL": settings.redis_url,
            "OPTOUT_ROLES": role,
        },
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def killed(settings: Settings, step: str, *, role: Role = "match") -> None:
    """Run a worker until it has killed itself at a step."""
    async with worker(settings, step, role=role) as process:
        assert await asyncio.wait_for(process.wait(), 60) == -9


async def outcome(at: Installation) -> Expected:
    """The state of the topics and Redis."""
    assert await whole(at)
    changes = await at.values(at.topics.block_changes)
    replies = await at.values(at.topics.reply_sends)
    notifications = await at.values(at.topics.opt_out_notifications)
    entries = await at.values_or_tombstones(at.topics.block_list)
    last = entries[-1] if entries else None
    return Expected(
        [(change["cause"]["id"], change["blocked"]) for change in changes],
        [(reply["in_reply_to"], reply["body"]) for reply in replies],
        [notification["message_sid"] for notification in notifications],
        cause_of(last["blocks"][0]["sources"][-1]["change_id"]) if last else None,
    )


def assert_equal(found: Expected, expected: Expected) -> None:
    """Everything equal, replies by their first words."""
    texts = [
        (sid, body[: len(wanted)])
        for (sid, body), (_, wanted) in zip(found.replies, expected.replies, strict=False)
    ]
    assert len(found.replies) == len(expected.replies)
    assert found._replace(replies=texts) == expected


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


LATER = [a_text(f"M{number}", body) for number, body in enumerate(BODIES, len(BODIES))]


async def test_a_worker_killed_while_it_lets_go_loses_nothing_and_doubles_nothing(
    settings: Settings,
) -> None:
    at = Installation(settings)
    await at.texts(*MESSAGES)
    async with worker(settings, "letting_go") as first:
        await at.wait_for_no_lag("match")
        await at.texts(*LATER)
        await finish(at)  # by another, for which the first lets go
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
    # `halt` is a keyword no more: what it did in Redis must not be seen by the replay.
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
    """A worker that lives takes over, until nothing is left to read and to rebuild."""
    async with running(at.settings.model_copy(update={"roles": ("match",)})) as runtime:
        await at.wait_for_no_lag("match")

        async def ready() -> bool:
            return not runtime.unready()

        await until(ready, "worker that has rebuilt its list")


async def whole(at: Installation) -> bool:
    """Whether Redis holds what the topic says, in every partition."""
    patient = at.settings.model_copy(update={"redis_timeout_s": 30.0})  # others work there, too
    partitions = range(at.settings.partitions)
    return not any([await differences(patient, one) for one in partitions])
