"""New records of topics, and the progress of groups; read only while someone is looking."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack

from processor.config import Settings
from processor.kafka.fetched import readable
from processor.kafka.groups import group_view
from processor.kafka.ports import Consumer
from processor.kafka.reading import reader
from processor.statistics.live import Progress
from processor.wire.records import Record

_BACK = 20  # offsets of a partition before its end, for what is shown at first
_MOST_BEHIND = 10_000  # of a partition: a reader that is slower passes records over
_AT_ONCE = 500
_PAUSE_S = 0.02  # between two batches: 25,000 records a second leave the process time for requests
_LOOK_S = 2.0


async def tail(
    settings: Settings,
    topics: Sequence[str],
    *,
    take: Callable[[Sequence[Record]], None],
    passed: Callable[[int], None],
    wanted: Callable[[], bool],
) -> None:
    """Hand on what topics get, a few of the last records first.

    Args:
        settings: of the installation.
        topics: full names.
        take: is given records in the order of their time, at first perhaps none.
        passed: is given the number of records passed over.
        wanted: whether to go on.

    Raises:
        BrokerUnavailable, KafkaError: where the broker does not answer.
    """
    async with reader(settings, topics, at_end=True) as consumer:
        partitions = sorted(consumer.assignment())
        ends = {tp: await consumer.position(tp) for tp in partitions}
        begins = await consumer.beginning_offsets(partitions)
        for tp, end in ends.items():
            consumer.seek(tp, max(begins[tp], end - _BACK))
        first: list[Record] = []
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            first += await _some(consumer)
        take(sorted(first, key=lambda record: int(record.timestamp)))
        while wanted():
            if found := await _some(consumer):
                take(found)
                await asyncio.sleep(_PAUSE_S)
            await _keep_up(consumer, passed)


async def _some(consumer: Consumer) -> list[Record]:
    found = await consumer.getmany(timeout_ms=200, max_records=_AT_ONCE)
    records = readable(record for batch in found.values() for record in batch)
    return sorted(records, key=lambda record: int(record.timestamp))


async def _keep_up(consumer: Consumer, passed: Callable[[int], None]) -> None:
    for tp in consumer.assignment():
        position = await consumer.position(tp)
        end = consumer.highwater(tp) or position
        if end - position > _MOST_BEHIND:
            consumer.seek(tp, end - _BACK)
            passed(end - _BACK - position)


async def follow_progress(
    settings: Settings,
    groups: Mapping[str, Sequence[str]],
    *,
    take: Callable[[str, Progress], None],
    wanted: Callable[[], bool],
) -> None:
    """Look every two seconds how far groups have come.

    Args:
        settings: of the installation.
        groups: a group's name without the prefix, to the full names of its topics.
        take: is given a group and its progress.
        wanted: whether to go on.

    Raises:
        BrokerUnavailable, KafkaError: where the broker does not answer.
    """
    async with AsyncExitStack() as stack:
        readers = {
            group: (
                await stack.enter_async_context(reader(settings, topics, at_end=True, paused=True)),
                await stack.enter_async_context(
                    group_view(settings, f"{settings.topic_prefix}{group}")
                ),
            )
            for group, topics in groups.items()
        }
        while wanted():
            for group, (consumer, view) in readers.items():
                take(group, await _progress(consumer, view))
            await asyncio.sleep(_LOOK_S)


async def _progress(consumer: Consumer, view: Consumer) -> Progress:
    partitions = list(consumer.assignment())
    # In this order: a group cannot have come further than the ends.
    done = dict(
        zip(partitions, await asyncio.gather(*map(view.committed, partitions)), strict=True)
    )
    ends = await consumer.end_offsets(partitions)
    begins = await consumer.beginning_offsets(partitions)
    return Progress(
        time.monotonic(),
        sum(ends.values()),
        sum(begins[tp] if done[tp] is None else done[tp] for tp in partitions),
    )
