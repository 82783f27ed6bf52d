"""How far the lanes of every role have come, and how many workers they have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from processor.config import Settings
from processor.kafka.groups import committed_of, group_view
from processor.kafka.reading import reader
from processor.kafka.topics.topic_admin import members
from processor.statistics.lane_health import Place, Position

EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Look:
    """A role as its group is now."""

    workers: int
    has_run: bool  # whether any offset is committed
    positions: Mapping[Place, Position]


async def follow_positions(
    settings: Settings, roles: Mapping[str, Sequence[str]], *, take: Callable[[str, Look], None]
) -> None:
    """Look again and again how far the lanes of roles have come.

    Args:
        settings: of the installation.
        roles: a role, to the full names of the topics that it reads.
        take: is given a role, and how it is.

    Raises:
        BrokerUnavailable, KafkaError: where the broker does not answer.
    """
    topics = sorted({topic for each in roles.values() for topic in each})
    groups = {role: f"{settings.topic_prefix}{role}" for role in roles}
    async with AsyncExitStack() as stack:
        consumer = await stack.enter_async_context(
            reader(settings, topics, at_end=True, paused=True)
        )
        views = {
            role: await stack.enter_async_context(group_view(settings, group))
            for role, group in groups.items()
        }
        sources = list(consumer.assignment())
        while True:
            present = await members(settings, list(groups.values()))
            # In this order: a group cannot have come further than the ends.
            done = {role: await committed_of(view) for role, view in views.items()}
            begins = await consumer.beginning_offsets(sources)
            ends = await consumer.end_offsets(sources)
            for role, of in roles.items():
                found = {
                    (tp.topic, tp.partition): Position(
                        ends[tp], done[role][tp].offset if tp in done[role] else begins[tp]
                    )
                    for tp in sources
                    if tp.topic in of
                }
                take(role, Look(present[groups[role]], bool(done[role]), found))
            await asyncio.sleep(EVERY_S)
