"""The committed offsets of the roles' groups, and setting them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from processor.config import Settings
from processor.kafka.failures import TRANSACTION_ERRORS, unavailable
from processor.kafka.groups import committed_of, group_view
from processor.kafka.lanes.position_rules import Doubt, Log, Position, doubt
from processor.kafka.lanes.positions import holds_any, logs_of, positions_in
from processor.kafka.lanes.shared_transactions import fence_writers
from processor.kafka.reading import reader
from processor.kafka.starting import start, stop
from processor.wire.topics import Topics


@dataclass(frozen=True, slots=True)
class Standing:
    """A role's position in one partition of one of its sources."""

    role: str
    topic: str  # full name
    partition: int
    position: Position | None  # as committed
    log: Log
    doubt: Doubt | None  # why its lane does not go on from there


async def standings(settings: Settings, role: str) -> list[Standing]:
    """A role's positions in all its sources, ordered by topic and partition.

    Raises:
        NewerFormat: a newer version committed the offsets.
        BrokerUnavailable: a broker does not answer.
    """
    topics = Topics.under(settings.topic_prefix)
    names = topics.sources(role)
    async with group_view(settings, f"{settings.topic_prefix}{role}") as view:
        positions = positions_in(await committed_of(view))
    async with reader(settings, names, at_end=True, paused=True) as consumer:
        partitions = range(settings.partitions)
        sources = [TopicPartition(name, number) for name in names for number in partitions]
        logs = await logs_of(consumer._client, sources, positions)
        has_outputs = {
            number: await holds_any(
                consumer._client,
                [TopicPartition(name, number) for name in topics.outputs(role)],
            )
            for number in {tp.partition for tp in sources if tp not in positions}
        }
    found = []
    for tp in sources:
        position, log = positions.get(tp), logs[tp]
        doubted = doubt(position, log, has_outputs=has_outputs.get(tp.partition, True))
        found.append(Standing(role, tp.topic, tp.partition, position, log, doubted))
    return found


async def offsets_at(settings: Settings, since_ms: int, wanted: list[Standing]) -> list[int]:
    """The first offsets written at a time or later; a log's end if there are none.

    Raises:
        BrokerUnavailable: a broker does not answer.
    """
    sources = [TopicPartition(one.topic, one.partition) for one in wanted]
    async with reader(
        settings, sorted({one.topic for one in wanted}), at_end=True, paused=True
    ) as consumer:
        found = await consumer.offsets_for_times(dict.fromkeys(sources, since_ms))
    return [
        found[tp].offset if found[tp] else one.log.end
        for tp, one in zip(sources, wanted, strict=True)
    ]


async def begin(settings: Settings, role: str) -> None:
    """Let a role that has committed nothing start at the beginning, although outputs exist.

    Raises:
        BrokerUnavailable: a broker does not answer.
    """
    to: dict[int, list[tuple[Standing, int]]] = defaultdict(list)
    for one in await standings(settings, role):
        if one.position is None:
            to[one.partition].append((one, one.log.start))
    await set_offsets(settings, to)


async def set_offsets(settings: Settings, to: Mapping[int, Sequence[tuple[Standing, int]]]) -> None:
    """Set offsets, each partition's in one commit.

    If a lane works there, it is fenced and restarts; so do the lanes that commit with it.

    Args:
        settings: of the installation.
        to: partition to pairs of position and new offset, all of one role.

    Raises:
        BrokerUnavailable: a broker refuses them; partitions before this one are set.
    """
    for partition, changes in to.items():
        group = f"{settings.topic_prefix}{changes[0][0].role}"
        offsets = {
            TopicPartition(one.topic, partition): OffsetAndMetadata(
                offset, Position(offset, one.log.topic_id).note
            )
            for one, offset in changes
        }
        for last in (False, False, True):
            try:
                await _commit(settings, group, partition, offsets)
                break
            except ProducerFenced as error:  # its lane tried again just then
                if last:
                    raise unavailable(error, settings.kafka_bootstrap) from error


async def _commit(
    settings: Settings,
    group: str,
    partition: int,
    offsets: Mapping[TopicPartition, OffsetAndMetadata],
) -> None:
    producer = AIOKafkaProducer(
        **settings.kafka(), transactional_id=f"{group}-{partition}", retry_backoff_ms=20
    )
    try:
        await start(producer)
        await fence_writers(settings, group, list(offsets))
        async with producer.transaction():
            await producer.send_offsets_to_transaction(offsets, group)
    except ProducerFenced:
        raise
    except TRANSACTION_ERRORS as error:
        raise unavailable(error, settings.kafka_bootstrap) from error
    finally:
        await stop(producer)
