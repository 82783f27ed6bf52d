"""The brokers, and the partitions of an installation that lack something."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition

from processor.config import Settings
from processor.kafka.administering import admin_of
from processor.kafka.reading import reader


@dataclass(frozen=True, slots=True)
class Cluster:
    """The brokers that answer for the topics of an installation."""

    brokers: Sequence[str]  # host:port
    leaderless: Sequence[str]  # partitions, as topic[number]
    behind: Sequence[str]  # partitions with replicas that are not in sync


async def cluster_of(settings: Settings) -> Cluster:
    """Ask any broker.

    Raises:
        BrokerUnavailable: none answers.
    """
    async with admin_of(settings) as admin:
        described = await admin.describe_cluster()
        topics = await admin.describe_topics()
    ours = [one for one in topics if one["topic"].startswith(settings.topic_prefix)]
    partitions = {
        f"{topic['topic']}[{one['partition']}]": one
        for topic in ours
        for one in topic["partitions"]
    }
    return Cluster(
        sorted(f"{one['host']}:{one['port']}" for one in described["brokers"]),
        [name for name, one in partitions.items() if one["leader"] < 0],
        [name for name, one in partitions.items() if len(one["isr"]) < len(one["replicas"])],
    )


async def written_after(settings: Settings, topics: Collection[str], at_ms: int) -> list[str]:
    """The topics that have a record with a later time.

    Args:
        settings: of the installation.
        topics: full names; missing topics are left out.
        at_ms: the time.

    Raises:
        BrokerUnavailable: the broker does not answer.
    """
    found: set[str] = set()
    async with admin_of(settings) as admin:
        described = await admin.describe_topics()
    alike: dict[int, list[str]] = defaultdict(list)  # by the number of partitions
    for one in described:
        if one["topic"] in topics and one["partitions"]:
            alike[len(one["partitions"])].append(one["topic"])
    for count, names in alike.items():
        async with reader(
            settings, names, at_end=True, partitions=range(count), paused=True
        ) as consumer:
            sources = [TopicPartition(name, one) for name in names for one in range(count)]
            later = await consumer.offsets_for_times(dict.fromkeys(sources, at_ms))
        found |= {source.topic for source, offset in later.items() if offset is not None}
    return sorted(found)
