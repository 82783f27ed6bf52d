"""Who may start lanes, and how what they wait for is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalOperation, ProducerFenced

from processor.config import Settings
from processor.kafka import partition_lane
from processor.kafka.lane import Output, Stage
from processor.kafka.lanes import Lanes, _Listener
from processor.kafka.partition_lane import PartitionLane, given_up
from processor.metrics import LaneMetrics, Metrics

METRICS = LaneMetrics(Metrics(), "match")


def no_stage(partition: int) -> Stage:
    raise AssertionError(partition)


async def test_a_member_that_leaves_starts_no_lane_though_a_rebalance_ends_meanwhile() -> None:
    lanes = a_member("t")
    listener = _Listener(lanes, None)
    listener.closed = True
    await listener.on_partitions_assigned([TopicPartition("t", 0)])
    assert lanes.states() == []


def a_member(*topics: str) -> Lanes:
    return Lanes(
        Settings(), group="match", topics=topics, outputs=[], stage=no_stage, metrics=METRICS
    )


class Consumer:
    """What a group's consumer knows of its topics."""

    def __init__(self, **counts: int) -> None:
        self._counts = counts

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        """None where the last metadata answer had an error for the topic."""
        count = self._counts.get(topic)
        return None if count is None else set(range(count))


@pytest.mark.parametrize(
    ("counts", "assigned"),
    [
        ({"inbound": 12}, ["inbound"]),
        ({"inbound": 12}, ["inbound", "commands"]),
        ({"inbound": 12, "commands": 0}, ["inbound"]),
        ({"inbound": 12, "commands": 12}, ["inbound"]),  # the group's leader did not know the other
    ],
)
async def test_a_topic_that_is_not_known_at_the_moment_is_asked_for_again(
    counts: dict[str, int], assigned: list[str]
) -> None:
    lanes = a_member("inbound", "commands")
    lanes.take(Consumer(**counts), [TopicPartition(topic, 0) for topic in assigned])
    assert (lanes.unfit, lanes.states()) == (None, [])
    assert lanes._rejoin.is_set()


async def test_a_topic_with_another_count_stops_the_role_though_partitions_have_one_source() -> (
    None
):
    lanes = a_member("inbound", "commands")
    assigned = [
        TopicPartition("inbound", 13),
        *(TopicPartition(one, 0) for one in ("inbound", "commands")),
    ]
    lanes.take(Consumer(inbound=14, commands=12), assigned)
    assert str(lanes.unfit).startswith("inbound: 14 partitions where 12 are expected")
    assert lanes.states() == []


async def test_what_fails_while_it_is_given_up_fails_nobody() -> None:
    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError

    task = asyncio.ensure_future(fails())
    await asyncio.sleep(0)
    await given_up(task)
    assert isinstance(task.exception(), ValueError)


async def test_what_failed_a_transaction_is_told_not_what_followed() -> None:
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    ended.set_exception(ProducerFenced())

    async def send_batch(*args: object, **given: object) -> None:
        raise IllegalOperation("not in transaction")

    producer = SimpleNamespace(
        create_batch=Mock,
        send_batch=send_batch,
        _txn_manager=SimpleNamespace(_transaction_waiter=ended),
    )
    out = Output(producer, 0)
    out.put("reply-sends", b"key", b"value")
    with pytest.raises(ProducerFenced):
        await out.send()


class Hanging(PartitionLane[Any]):
    """A lane that is never taken."""

    is_taken = False

    async def _take(self) -> None:
        self.is_taken = True
        await self._unless_stopped(asyncio.Event().wait())

    async def _work(self) -> None:
        raise AssertionError

    async def _let_go(self) -> None:
        pass

    def _next_offsets(self) -> Mapping[TopicPartition, int]:
        return {}


async def test_a_lane_that_hangs_as_it_is_taken_keeps_no_other_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partition_lane, "_TURN_S", 0.01)
    takes = asyncio.Semaphore(1)
    lanes = [
        Hanging(
            Settings(),
            group="match",
            consumer=None,
            sources=[TopicPartition("inbound", number)],
            outputs=[],
            stage=SimpleNamespace(waits_for=None),
            metrics=METRICS,
            at_step=lambda step: None,
            takes=takes,
        )
        for number in range(3)
    ]
    runs = [asyncio.create_task(lane.run()) for lane in lanes]
    async with asyncio.timeout(30):
        while not all(lane.is_taken for lane in lanes):
            await asyncio.sleep(0.01)
    for lane in lanes:
        lane.stop()
    await asyncio.gather(*runs)
    assert not takes.locked()
    await takes.acquire()
    assert takes.locked()  # each gave its turn back once
