"""A gate dies or freezes at a step of the lane: each send gets its one right verdict."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import pytest

from processor.config import Settings
from processor.core.blocks import Mark
from tests.clinic import a_send, a_text
from tests.crash.sharing import patient
from tests.crash.stopped_worker import frozen, killed, worker
from tests.installation import Installation, by_sid, running, until

pytestmark = pytest.mark.crash

BLOCKED = [f"+1555000{number:04d}" for number in range(20)]
OTHERS = [f"+1555001{number:04d}" for number in range(20)]
KILLS: dict[str, Sequence[str]] = {
    "before the batch": ["process"],
    "before the transaction": ["begin"],
    "with the offsets sent": ["emit"],
    "after emit, before the last look": ["last_look"],
    "after the last look, before the commit": ["commit"],
    "with the commit sent and not answered": ["committing"],
    "after the commit": ["committed_batch"],
    "twice between emit and commit": ["last_look", "commit"],
    "while taking the partition": ["assigned", "claim", "producer", "committed", "recover"],
}


async def blocked(at: Installation) -> None:
    """Block all of ``BLOCKED``, and wait until their confirmations are visible."""
    async with running(at.settings.model_copy(update={"roles": ("match",)})):
        await at.texts(*(a_text(f"M{one[1:]}", "stop", **{"from": one}) for one in BLOCKED))
        await at.wait_for(at.topics.reply_sends, len(BLOCKED))


async def judged(at: Installation) -> None:
    """Let a new gate take over, until nothing is left to judge."""
    async with running(at.settings.model_copy(update={"roles": ("gate",)})):
        await at.wait_for_no_lag("gate")


@pytest.mark.parametrize("steps", KILLS.values(), ids=KILLS)
async def test_a_killed_gate_judges_each_send_once(
    settings: Settings, steps: Sequence[str]
) -> None:
    at = Installation(settings)
    await blocked(at)
    await at.sends(*(a_send(f"S{one[1:]}", to=one) for one in BLOCKED + OTHERS))
    for step in steps:
        await killed(settings, step, role="gate")
    await judged(at)
    allowed = by_sid(await at.values(at.topics.allowed_sends))
    failed = by_sid(await at.values(at.topics.message_statuses))
    assert {send["to"] for send in allowed.values()} == set(OTHERS)
    assert {status["to"] for status in failed.values()} == set(BLOCKED)
    assert (len(allowed), len(failed)) == (len(OTHERS), len(BLOCKED))


async def test_r25_a_stop_confirmed_while_the_gate_sleeps_before_its_last_look_is_seen(
    settings: Settings,
) -> None:
    mine = patient(settings)  # it keeps its lane
    at = Installation(mine)
    async with running(mine.model_copy(update={"roles": ("match",)})):
        await at.sends(a_send("S1"))
        async with worker(mine, "last_look", "SIGSTOP", role="gate") as gate:
            await until(lambda: frozen(gate.pid), "frozen gate")
            await at.texts(a_text("M1", "stop"))
            await at.wait_for(at.topics.reply_sends, 1)
            gate.send_signal(signal.SIGCONT)
            [failed] = await at.wait_for(at.topics.message_statuses, 1)
            assert failed["message_sid"] == "S1"
            assert await at.values(at.topics.allowed_sends) == []


@pytest.mark.parametrize("step", ["producer", "process", "last_look", "commit"])
async def test_a_zombie_gate_that_wakes_lets_nothing_through(settings: Settings, step: str) -> None:
    at = Installation(settings)
    await at.sends(a_send("S1"))
    async with (
        running(settings.model_copy(update={"roles": ("match",)})),
        worker(settings, step, "SIGSTOP", role="gate") as zombie,
    ):
        await until(lambda: frozen(zombie.pid), "frozen gate")
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
        async with running(settings.model_copy(update={"roles": ("gate",)})):
            [failed] = await at.wait_for(at.topics.message_statuses, 1)
            zombie.send_signal(signal.SIGCONT)
            await at.sends(a_send("S2"))
            await at.wait_for(at.topics.message_statuses, 2)
        # The woken gate has what is left, and must have rejoined.
        await at.sends(a_send("S3"))
        await at.wait_for(at.topics.message_statuses, 3)
        assert zombie.returncode is None
    assert failed["message_sid"] == "S1"
    assert await at.values(at.topics.allowed_sends) == []
    marks = [
        Mark.parse(dict(record.headers)["mark"].decode())
        for record in await at.records(at.topics.message_statuses)
    ]
    assert len(marks) == 3
    assert marks == sorted(marks)
