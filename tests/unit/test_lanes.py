"""Who may start lanes, and how what they wait for is given up."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalOperation, ProducerFenced

from processor.config import Settings
from processor.kafka.lane import Output, Stage
from processor.kafka.lanes import Lanes, _Listener
from processor.kafka.partition_lane import given_up
from processor.metrics import LaneMetrics, Metrics

METRICS = LaneMetrics(Metrics(), "match")


def no_stage(partition: int) -> Stage:
    raise AssertionError(partition)


async def test_a_member_that_leaves_starts_no_lane_though_a_rebalance_ends_meanwhile() -> None:
    lanes = Lanes(Settings(), group="match", topics=["t"], stage=no_stage, metrics=METRICS)
    listener = _Listener(lanes, None)
    listener.closed = True
    await listener.on_partitions_assigned([TopicPartition("t", 0)])
    assert lanes.states() == []


@pytest.mark.parametrize("lost", [0, 1, 3])
async def test_what_loses_a_cancel_is_told_again(lost: int) -> None:
    async def waits_for_ever() -> None:
        for _ in range(lost):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(waits_for_ever())
    await asyncio.sleep(0)
    await given_up(task)
    assert task.cancelled()


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
