"""How far a consumer group is behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiokafka import TopicPartition

from processor.config import Settings
from processor.kafka.groups import committed_of, group_view
from processor.kafka.reading import reader


async def group_lag(settings: Settings, group: str, topics: Sequence[str]) -> int:
    """How many records of topics a group has not committed yet."""
    return sum((await group_lags(settings, group, topics)).values())


async def group_lags(
    settings: Settings, group: str, topics: Sequence[str]
) -> Mapping[TopicPartition, int]:
    """How many records a group has not committed yet, by partition; only where there are any."""
    async with reader(settings, topics, at_end=False, paused=True) as consumer:
        sources = list(consumer.assignment())
        ends = await consumer.end_offsets(sources)
        begins = await consumer.beginning_offsets(sources)
    async with group_view(settings, group) as view:
        done = {tp: one.offset for tp, one in (await committed_of(view, sources)).items()}
    # The group may be ahead of the ends asked for a moment before.
    lags = {tp: ends[tp] - done.get(tp, begins[tp]) for tp in sources}
    return {tp: lag for tp, lag in lags.items() if lag > 0}
