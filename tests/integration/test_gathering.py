"""Several changes within a second are one update; no one waits longer for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import orjson
import pytest

from processor.config import Settings
from processor.configuration.edits import edit_of_service
from processor.kafka.client import Outgoing
from processor.kafka.topics import compacted
from processor.kafka.topics.compacted import CompactedTopic
from processor.kafka.topics.configuration_writer import configuration
from tests.installation import Installation, until
from tests.integration.test_configuration import a_service, one_more_sender

NEVER_S = 3_600.0


class Followed:
    """A topic, and each update that it handed on."""

    def __init__(self, settings: Settings) -> None:
        self._at = Installation(settings.model_copy(update={"partitions": 1}))
        self._written = 0
        self.updates: list[Mapping[str, Any]] = []
        self.topic = CompactedTopic(
            settings,
            self._at.topics.numbers,
            "numbers",
            read=orjson.loads,
            sid_of=lambda one: str(one["sid"]),
            take=lambda changed: self.updates.append(dict(changed)),
        )

    async def write(self, *values: dict[str, Any] | bytes) -> int:
        """Write records, and wait until all are read; the position behind them."""
        records = [
            Outgoing(
                self.topic.full_name, b"one", one if isinstance(one, bytes) else orjson.dumps(one)
            )
            for one in values
        ]
        await self._at.write_raw(*records)
        self._written += len(records)

        async def are_read() -> bool:
            return self.topic._read_to.position == self._written

        await until(are_read, "records that are read")
        return self._written


@asynccontextmanager
async def followed(settings: Settings) -> AsyncIterator[Followed]:
    one = Followed(settings)
    following = asyncio.create_task(one.topic.follow())
    await asyncio.wait_for(one.topic.wait_loaded(), 30)
    yield one
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


def numbered(number: int) -> dict[str, Any]:
    return {"sid": "one", "number": number}


async def test_the_first_change_comes_at_once_and_those_of_its_second_come_together(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with followed(settings) as one:
        monkeypatch.setattr(compacted, "_GATHER_S", NEVER_S)
        one.topic._handed_on_at -= NEVER_S
        before = await one.write(numbered(1))
        assert one.updates == [{"one": numbered(1)}]
        end = await one.write(*map(numbered, range(2, 22)))
        assert len(one.updates) == 1
        view = one.topic.view_at(before)
        assert view is not None
        assert view.position == before  # what nobody needs is not taken for it
        monkeypatch.setattr(compacted, "_GATHER_S", 0.0)

        async def is_handed_on() -> bool:
            return len(one.updates) == 2

        await until(is_handed_on, "update once its second is over")
        assert one.updates[1] == {"one": numbered(21)}
        assert one.topic.view is not None
        assert one.topic.view.position == end


async def test_what_is_read_is_handed_on_to_who_needs_it_without_a_wait(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with followed(settings) as one:
        await one.write(numbered(1))
        monkeypatch.setattr(compacted, "_GATHER_S", NEVER_S)
        end = await one.write(numbered(2))
        view = one.topic.view_at(end)
        assert view is not None
        assert (view.position, one.updates[-1]) == (end, {"one": numbered(2)})
        waiting = asyncio.create_task(one.topic.wait_until(end + 1))
        await one.write(numbered(3))  # whose position nobody could have asked for
        await asyncio.wait_for(waiting, 30)
        assert one.updates[-1] == {"one": numbered(3)}


async def test_of_several_changes_the_last_one_that_can_be_used_counts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, written: list[str]
) -> None:
    async with followed(settings) as one:
        await one.write(numbered(1))
        monkeypatch.setattr(compacted, "_GATHER_S", NEVER_S)
        end = await one.write(numbered(2), numbered(3), b"{", b"[]")
        one.topic.view_at(end)
        assert one.updates[-1] == {"one": numbered(3)}
    assert len([line for line in written if " numbers.refused " in line]) == 2


async def test_a_long_second_fills_no_memory(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with followed(settings) as one:
        await one.write(numbered(1))
        monkeypatch.setattr(compacted, "_GATHER_S", NEVER_S)
        monkeypatch.setattr(compacted, "_MOST_GATHERED", 1_000)
        for number in range(2, 6):
            end = await one.write({**numbered(number), "filler": "x" * 2_000})
            assert one.topic._gathered_bytes < 1_000
        one.topic.view_at(end)
        assert one.updates[-1]["one"]["number"] == 5


async def test_a_writer_sees_its_own_changes_at_once_and_each_has_its_version(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compacted, "_GATHER_S", NEVER_S)
    async with configuration(settings) as stored:
        await stored.update(lambda: [edit_of_service(None, a_service("MGone"))], actor="test")
        for number in range(3):
            address = f"+1555000{number:04}"
            await stored.update(partial(one_more_sender, stored, "MGone", address), actor="test")
    at = Installation(settings)
    changes = await at.values(at.topics.configuration_changes)
    assert [change["version_after"] for change in changes] == [1, 2, 3, 4]
