"""A broker comes back without the end of a log, which then grows again: all lanes stop there."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deploy.local import stack
from processor.config import Settings
from processor.kafka.lanes.group_offsets import standings
from processor.kafka.topics import topic_admin
from tests.installation import Installation, by_sid, running, until
from tests.integration.test_flow import a_send

pytestmark = [pytest.mark.crash, pytest.mark.needs_more]

READ = ["S0", "S1", "S2", "S3"]
KEPT = 2  # of them, by the log that the broker has afterwards
NEW = ["N0", "N1", "N2", "N3", "N4", "N5"]


class Losing(NamedTuple):
    """An installation on a broker of its own, whose log of sends can be cut."""

    settings: Settings
    at: Installation
    broker: stack.Server
    folder: Path

    def lose(self) -> None:
        """Kill the broker, cut the log behind the first sends, start it, and write others."""
        self.broker.kill()
        log = self.folder / f"{self.at.topics.outbound_messages}-0"
        for file in log.glob("*"):
            if file.suffix in (".index", ".timeindex", ".snapshot"):
                file.unlink()
        [segment] = log.glob("*.log")
        data, end = segment.read_bytes(), 0
        for _ in range(KEPT):
            end += 12 + struct.unpack_from(">i", data, end + 8)[0]
        segment.write_bytes(data[:end])
        self.broker.start()
        in_a_thread(self.at.sends(*(a_send(sid) for sid in NEW)))


def in_a_thread(work: Coroutine[Any, Any, None]) -> None:
    """Do it while the caller's loop stands still."""
    thread = threading.Thread(target=asyncio.run, args=[work])
    thread.start()
    thread.join()


@pytest.fixture
async def losing(servers: None, settings: Settings, tmp_path: Path) -> AsyncIterator[Losing]:
    with stack.kafka(tmp_path) as broker:
        mine = settings.model_copy(
            update={
                "kafka_bootstrap": broker.address,
                "partitions": 1,
                "session_timeout_s": 60.0,
            }
        )
        await topic_admin.create(mine)
        yield Losing(mine, Installation(mine), broker, tmp_path / "kafka")


async def refuses_for_that(losing: Losing) -> bool:
    [one] = await standings(losing.settings, "gate")
    return one.doubt is not None and one.doubt.cause == "diverged"


async def sent(losing: Losing) -> list[str]:
    return sorted(by_sid(await losing.at.values(losing.at.topics.allowed_sends)))


async def test_a_worker_that_starts_on_a_log_that_lost_its_end_sends_nothing(
    losing: Losing,
) -> None:
    at = losing.at
    async with running(losing.settings):
        for count, sid in enumerate(READ, 1):
            await at.sends(a_send(sid))
            await at.wait_for(at.topics.allowed_sends, count)
        await at.wait_for_no_lag("gate")
    losing.lose()
    assert await refuses_for_that(losing)
    async with running(losing.settings) as runtime:

        async def refused() -> bool:
            return any("others took their places" in one for one in runtime.unready())

        await until(refused, "lane that refuses its position")
    assert await sent(losing) == READ


async def test_a_lane_that_slept_while_the_log_lost_its_end_sends_nothing(losing: Losing) -> None:
    at = losing.at
    async with running(losing.settings) as runtime:
        for count, sid in enumerate(READ, 1):
            await at.sends(a_send(sid))
            await at.wait_for(at.topics.allowed_sends, count)
        await at.wait_for_no_lag("gate")
        losing.lose()  # this loop, and the worker in it, stand still meanwhile

        async def refused() -> bool:
            return any("others took their places" in one for one in runtime.unready())

        await until(refused, "lane that refuses its position")
    assert await sent(losing) == READ
