"""Facts about one partition, for checkers: how far it was read, where it begins and ends."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka import TopicPartition
from aiokafka.partitioner import murmur2

from processor.config import Settings
from processor.kafka.groups import committed_of, group_view
from processor.kafka.reading import reader


async def committed_offset(settings: Settings, group: str, topic: str, partition: int) -> int:
    """The offset that a group committed; 0 where it committed none.

    Args:
        settings: of the installation.
        group: full name.
        topic: full name.
        partition: of the topic.

    Raises:
        BrokerUnavailable: a broker does not answer.
    """
    async with group_view(settings, group) as view:
        committed = await committed_of(view, [TopicPartition(topic, partition)])
    return sum(one.offset for one in committed.values())


async def has_its_beginning(settings: Settings, topic: str, partition: int) -> bool:
    """Whether no record was deleted from the beginning of a partition yet.

    Raises:
        BrokerUnavailable: a broker does not answer.
    """
    tp = TopicPartition(topic, partition)
    async with reader(settings, [topic], at_end=False, partitions=[partition]) as consumer:
        return bool((await consumer.beginning_offsets([tp]))[tp] == 0)


async def uncommitted_ends(
    settings: Settings, topics: Sequence[str], partition: int
) -> dict[str, int]:
    """Where a partition of each topic ends, by topic; open transactions count.

    Raises:
        BrokerUnavailable: a broker does not answer.
    """
    async with reader(
        settings, topics, at_end=True, partitions=[partition], isolation="read_uncommitted"
    ) as consumer:
        ends = await consumer.end_offsets(list(consumer.assignment()))
    return {tp.topic: end for tp, end in ends.items()}


def aiokafkas_partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key by aiokafka's own code, which shares none with ``core.partitions``."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)
