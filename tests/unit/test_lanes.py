"""Who may start lanes."""

from __future__ import annotations

from aiokafka import TopicPartition

from processor.config import Settings
from processor.kafka.lane import Stage
from processor.kafka.lanes import Lanes, _Listener
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
