"""A rebalance without a dead member waits only for events that are sure to come.

Every deadline of the lanes is far above the test's, so whatever ends here ends by itself.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from deploy.local import stack
from processor.config import Role, Settings
from processor.kafka.lanes import exactly_once, relay, supervisor
from tests.clinic import a_send, a_text
from tests.crash.sharing import DEADLINE_S, ready, shared
from tests.installation import Installation, by_sid, running

pytestmark = pytest.mark.crash

PEOPLE = [f"+1555000{number:04d}" for number in range(20)]
LONG_S = 120.0
REDIS_S = 60.0  # the highest setting


@pytest.fixture(autouse=True)
def _no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exactly_once, "COMMIT_S", LONG_S)
    monkeypatch.setattr(relay, "COMMIT_S", LONG_S)
    monkeypatch.setattr(supervisor, "_LET_GO_S", LONG_S)


async def test_a_rebalance_does_not_wait_for_records(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exactly_once, "_POLL_S", LONG_S)
    at = Installation(settings)
    async with running(settings) as first:
        await ready(first)
        async with running(settings) as second:
            await shared(first, second)
            await at.texts(a_text("M1", "stop"))
            await at.wait_for(at.topics.reply_sends, 1)
        await shared(first)


@pytest.mark.parametrize("step", ["written", "emit", "last_look", "commit"])
async def test_a_batch_in_hand_is_finished_when_a_worker_is_asked_to_stop(
    settings: Settings, step: str
) -> None:
    asked = asyncio.Event()

    def ask(reached: str) -> None:
        if reached == step:
            worker.lanes["match"].stop()
            asked.set()

    at = Installation(settings)
    async with running(settings.model_copy(update={"roles": ("match",)}), ask) as worker:
        await at.texts(a_text("M1", "stop"))
        await asked.wait()
    assert len(await at.values(at.topics.reply_sends)) == 1


@pytest.mark.needs_more
@pytest.mark.parametrize(("role", "step"), [("match", "process"), ("gate", "last_look")])
async def test_a_rebalance_does_not_wait_for_redis(
    settings: Settings, tmp_path: Path, role: Role, step: str
) -> None:
    armed, paused = asyncio.Event(), asyncio.Event()

    def pause(reached: str) -> None:
        if armed.is_set() and reached == step:
            server.process.send_signal(signal.SIGSTOP)
            paused.set()

    with stack.valkey(tmp_path) as server:
        given = {"redis_url": f"redis://{server.address}/0", "redis_timeout_s": REDIS_S}
        mine = settings.model_copy(update={**given, "roles": (role,)})
        others = mine.model_copy(update={"roles": tuple({"match", "gate"} - {role})})
        at = Installation(mine)
        texts = [a_text(f"M{one[1:]}", "stop", **{"from": one}) for one in PEOPLE]
        async with running(others), running(mine, pause) as first:
            try:
                async with asyncio.timeout(DEADLINE_S):
                    async with running(mine) as second:
                        await shared(first, second)
                        await ready(first, second)
                        armed.set()
                        await at.texts(*texts)
                        await at.sends(*(a_send(f"S{one[1:]}", to=one) for one in PEOPLE))
                        await paused.wait()
                    # The second has left while Redis is silent, and the first took all lanes again.
                    await shared(first)
            finally:
                armed.clear()
                server.process.send_signal(signal.SIGCONT)
            await at.wait_for(at.topics.reply_sends, len(PEOPLE))
            await at.sends(*(a_send(f"T{one[1:]}", to=one) for one in PEOPLE))
            await at.wait_for(at.topics.message_statuses, len(PEOPLE))
            await at.wait_for_no_lag("gate")
        verdicts = [
            *await at.values(at.topics.allowed_sends),
            *await at.values(at.topics.message_statuses),
        ]
        assert len(by_sid(verdicts)) == 2 * len(PEOPLE)
