"""A reader that lost its place while the broker was away starts over, and skips nothing."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import TopicPartition

from processor.config import Settings
from processor.core.blocks import NO_MARK
from processor.errors import BrokerUnavailable
from processor.kafka import client
from processor.kafka.client import reader
from processor.kafka.topics.block_list_topic import BlockListTopic
from processor.wire.topics import Topics
from tests.installation import Installation, running, until
from tests.integration.test_flow import a_text


async def place_found(consumer: Any, tp: TopicPartition) -> int:
    """Where a consumer goes on that lost its place, as aiokafka does after an error."""
    state = consumer._subscription.subscription.assignment.state_value(tp)
    state.await_reset(consumer._fetcher._default_reset_strategy)
    consumer._fetcher._notify(consumer._fetcher._wait_consume_future)
    await until(lambda: has_position(state), "place")
    return int(await consumer.position(tp))


async def has_position(state: Any) -> bool:
    return bool(state.has_valid_position)


async def test_a_reader_that_lost_its_place_skips_nothing(settings: Settings) -> None:
    at = Installation(settings)
    async with running(settings.model_copy(update={"roles": ("match",)})):
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
    topic = Topics.under(settings.topic_prefix).block_list
    [record] = await at.records(topic)
    tp = TopicPartition(topic, record.partition)
    async with reader(settings, [topic], at_end=False, partitions=[tp.partition]) as consumer:
        assert await place_found(consumer, tp) == 0


async def test_a_list_is_read_from_where_it_was_asked_or_not_at_all(settings: Settings) -> None:
    at = Installation(settings)
    topic = at.topics.block_list
    await at.write(topic, *({"to": f"+1555000{one:04d}"} for one in range(40)))
    [partition, *_] = {record.partition for record in await at.records(topic)}
    listed = BlockListTopic(settings, topic)
    try:
        assert await listed.settled_mark(partition) == NO_MARK
        with pytest.raises(BrokerUnavailable, match="OffsetOutOfRange"):
            [one async for one in listed.between(partition, 100, 101)]
        assert [one async for one in listed.between(partition, 0, 1)]
    finally:
        await listed.close()


async def test_a_reader_of_a_partition_that_nobody_leads_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_LEADERLESS_S", 0.5)
    topic = Topics.under(settings.topic_prefix).block_list
    with pytest.raises(BrokerUnavailable, match=r"block-list\.v2\[99\] has no leader"):
        async with reader(settings, [topic], at_end=True, partitions=[0, 99]):
            pytest.fail("there is no such partition")
