"""A worker that cannot work its partitions gives them to another worker."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Callable
from typing import Any

import pytest

from processor.config import Settings
from tests.crash.sharing import everybody_is_heard
from tests.installation import Installation, running, until
from tests.processes import OPTOUT, environment, started

pytestmark = pytest.mark.crash

_FEW = 10  # fewer than a process opens at its start


@pytest.mark.parametrize("names", [{}, {"OPTOUT_INSTANCE_ID": "sick"}], ids=["dynamic", "static"])
async def test_a_worker_without_descriptors_hands_its_partitions_over(
    settings: Settings, names: dict[str, str]
) -> None:
    at = Installation(settings)
    # A lost session would also hand them over, but in five minutes.
    mine = environment(settings) | {"OPTOUT_ROLES": "match,gate", "OPTOUT_SESSION_TIMEOUT_S": "300"}
    async with started(OPTOUT, **mine, **names, OPTOUT_WATCHDOG_S="3") as sick:
        await sick.says("lane.taken")
        async with started(OPTOUT, **mine) as leaving:
            await leaving.says("lane.taken")
            resource.prlimit(sick.process.pid, resource.RLIMIT_NOFILE, (_FEW, _FEW))
            # Only the sick worker is left for the partitions of the worker that leaves.
            assert await leaving.ends(signal.SIGTERM) == 0
        assert await sick.ends() == 1
        assert "worker.stuck" in sick.said
        async with started(OPTOUT, **mine):
            await everybody_is_heard(at)


@pytest.mark.parametrize(
    "task_of",
    [
        lambda lanes: lanes._reader._consumer._fetcher._fetch_task,
        lambda lanes: lanes._member._coordinator._coordination_task,
    ],
    ids=["fetcher", "coordinator"],
)
async def test_a_member_or_a_reader_whose_task_died_is_replaced(
    settings: Settings, task_of: Callable[[Any], asyncio.Task[None]]
) -> None:
    at = Installation(settings)
    async with running(settings) as runtime:

        async def is_ready() -> bool:
            return all(lanes.joined for lanes in runtime.lanes.values()) and not runtime.unready()

        await until(is_ready, "worker that is ready")
        for lanes in runtime.lanes.values():
            task_of(lanes).cancel()
        await everybody_is_heard(at)


async def test_a_session_that_brokers_refuse_is_said_with_its_setting(settings: Settings) -> None:
    mine = settings.model_copy(update={"session_timeout_s": 3_600.0})  # half an hour at most
    async with running(mine) as runtime:

        async def is_said() -> bool:
            return any("OPTOUT_SESSION_TIMEOUT_S" in one for one in runtime.unready())

        await until(is_said, "reason that names the setting")
