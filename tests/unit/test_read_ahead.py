"""Records that are read ahead keep their order, and a position never passes a record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition

from processor.errors import BrokerUnavailable
from processor.kafka.lanes.read_ahead import ReadAhead

ONE, OTHER = TopicPartition("inbound", 0), TopicPartition("commands", 0)
WAIT_S = 30.0


class Log:
    """A reading of two partitions; hands out what a test has put in, and moves on with it."""

    def __init__(self) -> None:
        self.position_of = {ONE: 0, OTHER: 0}
        self.asked: list[int] = []
        self.is_closed = False
        self._found: asyncio.Queue[Mapping[TopicPartition, Sequence[Any]] | Exception] = (
            asyncio.Queue()
        )

    def move_and_fail(self, error: Exception) -> None:
        """Read on, and fail before the records are returned."""
        self.position_of[ONE] += 3
        self.put(error)

    def put(self, found: Mapping[TopicPartition, Sequence[Any]] | Exception) -> None:
        self._found.put_nowait(found)

    async def records(
        self, partitions: Sequence[TopicPartition], *, wait_s: float, most: int
    ) -> Mapping[TopicPartition, Sequence[Any]]:
        assert partitions == [ONE, OTHER]
        self.asked.append(most)
        found = await self._found.get()
        if isinstance(found, Exception):
            raise found
        for tp, records in found.items():
            self.position_of[tp] += len(records)
        return found

    def position(self, tp: TopicPartition) -> int:
        return self.position_of[tp]

    def leader_epoch(self, tp: TopicPartition) -> int | None:
        return self.position_of[tp] or None

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def ahead(log: Log) -> AsyncIterator[ReadAhead]:
    ahead = ReadAhead(log, [ONE, OTHER], 10)  # type: ignore[arg-type]
    yield ahead
    ahead.close()
    assert log.is_closed


async def read(ahead: ReadAhead, wait_s: float = WAIT_S, most: int = 10) -> dict[Any, Any]:
    found: dict[Any, Any] = await ahead.records(wait_s=wait_s, most=most)
    return found


async def turns() -> None:
    """Let the pump go on as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_records_that_came_meanwhile_are_returned_together_and_in_order(
    log: Log, ahead: ReadAhead
) -> None:
    log.put({ONE: ["a", "b"]})
    assert await read(ahead) == {ONE: ["a", "b"]}
    for found in ({ONE: ["c"]}, {OTHER: ["x"]}, {ONE: ["d"], OTHER: ["y"]}):
        log.put(found)
    await turns()
    assert await read(ahead) == {ONE: ["c", "d"], OTHER: ["x", "y"]}


async def test_a_position_is_that_of_the_records_returned(log: Log, ahead: ReadAhead) -> None:
    log.put({ONE: ["a", "b"]})
    await read(ahead)
    log.put({ONE: ["c"], OTHER: ["x"]})
    await turns()
    assert log.position(ONE) == 3
    assert (ahead.position(ONE), ahead.position(OTHER)) == (2, 0)
    assert (ahead.leader_epoch(ONE), ahead.leader_epoch(OTHER)) == (2, None)
    await read(ahead)
    assert (ahead.position(ONE), ahead.position(OTHER)) == (3, 1)
    assert ahead.leader_epoch(ONE) == 3


async def test_a_position_moves_on_without_a_record(log: Log, ahead: ReadAhead) -> None:
    await turns()
    log.position_of[ONE] = 7  # behind the marker of a transaction
    log.put({})
    await turns()
    assert await read(ahead, wait_s=0.01) == {}
    assert ahead.position(ONE) == 7


async def test_no_more_is_read_ahead_than_may_wait(log: Log, ahead: ReadAhead) -> None:
    log.put({ONE: list(range(6))})
    log.put({ONE: list(range(6, 10))})
    log.put({ONE: [10]})
    await turns()
    assert log.asked == [10, 4]  # and it waits until these are taken
    found = await read(ahead, most=3)
    assert found == {ONE: list(range(10))}
    await turns()
    assert log.asked == [10, 4, 3, 2]


async def test_a_failure_is_raised_after_the_records_before_it(log: Log, ahead: ReadAhead) -> None:
    log.put({ONE: ["a"]})
    log.put(BrokerUnavailable("gone"))
    await turns()
    assert await read(ahead) == {ONE: ["a"]}
    for _ in range(2):
        with pytest.raises(BrokerUnavailable):
            await read(ahead)


async def test_a_position_does_not_pass_records_that_a_failure_took_along(
    log: Log, ahead: ReadAhead
) -> None:
    log.put({ONE: ["a"]})
    await turns()
    log.move_and_fail(BrokerUnavailable("the other partition cannot be read"))
    await turns()
    assert await read(ahead) == {ONE: ["a"]}
    assert ahead.position(ONE) == 1
    with pytest.raises(BrokerUnavailable):
        await read(ahead)
    assert ahead.position(ONE) == 1


async def test_a_failure_wakes_a_lane_that_waits(log: Log, ahead: ReadAhead) -> None:
    waits = asyncio.create_task(read(ahead))
    await turns()
    log.put(BrokerUnavailable("gone"))
    with pytest.raises(BrokerUnavailable):
        await waits


async def test_a_lane_that_stops_waiting_loses_no_record(log: Log, ahead: ReadAhead) -> None:
    waits = asyncio.create_task(read(ahead))
    await turns()
    waits.cancel()
    log.put({ONE: ["a"]})
    await turns()
    assert ahead.position(ONE) == 0
    assert await read(ahead) == {ONE: ["a"]}
    assert ahead.position(ONE) == 1
