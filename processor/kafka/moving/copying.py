"""Copy records to other topics, spread by another partition count, exactly once.

Progress is stored as the offsets of a group, committed in the transaction that copies. So an
interrupted copy continues, and nothing is written twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import orjson
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from processor.config import Settings
from processor.core.blocks import NO_MARK, Mark
from processor.core.partitions import partitions_of
from processor.errors import BrokerUnavailable, Fenced
from processor.kafka.groups import committed_of, group_view
from processor.kafka.lanes.shared_transactions import fence_writers
from processor.kafka.lanes.transactional_producers import fence
from processor.kafka.moving.merged import Merged, Offsets, Order
from processor.kafka.ports import Consumer, RecordBatch
from processor.kafka.reading import reader
from processor.kafka.starting import start, stop
from processor.kafka.topics.block_list_topic import mark_of
from processor.wire.headers import of_the_way
from processor.wire.records import Record

MOVED_FROM = "moved-from"  # topic[partition]@offset: where a record of the history was before
_AT_ONCE = 5_000
_MAX_BATCH_BYTES = 1 << 19
_MAX_REQUEST_BYTES = 1 << 22
_TRANSACTION_TIMEOUT_MS = 60_000


Convert = Callable[[Record], Sequence[tuple[bytes, bytes]]]  # a record to keys and values


@dataclass(frozen=True, slots=True)
class Part:
    """Partitions of the source that are copied together, in one order, by one producer."""

    topics: Sequence[str]  # without the prefix
    partitions: Sequence[int]
    order: Order  # of records of different partitions; each keeps its own
    group: str  # its offsets say how far the copy is
    transactional_id: str
    says_where: bool = False  # whether each copy says where the record was
    becomes: str | None = None  # its one topic in the target, where that is of a later version
    convert: Convert | None = None  # a record to those of the later version

    def sources(self, settings: Settings) -> list[TopicPartition]:
        """The partitions by their full names."""
        return [
            TopicPartition(settings.topic_prefix + topic, partition)
            for topic in self.topics
            for partition in self.partitions
        ]


def by_time(record: Record) -> int:
    """The order of arrival."""
    return int(record.timestamp)


def by_mark(record: Record) -> Mark:
    """The order in which the block list was written: marks grow in the new partitions, too.

    A foreign record without a mark goes as soon as it is the next of its partition.
    """
    try:
        if (mark := mark_of(record.headers)) is not NO_MARK:
            return mark
        return Mark.parse(orjson.loads(record.value or b"")["mark"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return NO_MARK


async def begin(settings: Settings, part: Part) -> Offsets:
    """Where a part goes on: the group's offsets, the beginning where it has none.

    Raises:
        BrokerUnavailable: where the broker does not answer.
    """
    sources = part.sources(settings)
    async with group_view(settings, part.group) as view:
        committed = await committed_of(view, sources)
    async with _reading(settings, part) as consumer:
        first = await consumer.beginning_offsets(sources)
    done = {tp: one.offset for tp, one in committed.items()}
    return {tp: max(first[tp], done.get(tp, 0)) for tp in sources}


async def ends_of(settings: Settings, part: Part) -> Offsets:
    """Where a part ends now, with what is not committed."""
    async with _reading(settings, part, isolation="read_uncommitted") as consumer:
        ends: Offsets = await consumer.end_offsets(part.sources(settings))
    return ends


def _reading(
    settings: Settings, part: Part, isolation: str = "read_committed"
) -> AbstractAsyncContextManager[Consumer]:
    topics = [settings.topic_prefix + topic for topic in part.topics]
    return reader(settings, topics, at_end=False, partitions=part.partitions, isolation=isolation)


async def has_more(settings: Settings, part: Part) -> bool:
    """Whether a part has a record its group has not read; the marks of transactions are none."""
    positions, ends = await begin(settings, part), await ends_of(settings, part)
    async with _reading(settings, part) as consumer:
        return bool(await Merged(consumer, positions, ends, part.order).take(1))


async def settle(settings: Settings, part: Part) -> None:
    """Abort what a lane left open, and keep it from going on, should it still live."""
    try:
        await fence(settings, part.transactional_id)
        await fence_writers(settings, part.group, part.sources(settings))
    except KafkaError as error:
        raise BrokerUnavailable(f"Kafka: {type(error).__name__}") from error


async def copy(
    source: Settings,
    target: Settings,
    part: Part,
    *,
    spread: Mapping[str, int],
    told: Callable[[int], None] = lambda passed: None,
    late: bool = False,
) -> Counter[str]:
    """Copy a part from where its group is up to its end now.

    Args:
        source: prefix and count of the topics read.
        target: those of the topics written, on the same brokers.
        part: the records to copy.
        spread: partitions of each new topic, by its name without prefix.
        told: called with the number of offsets passed.
        late: the target is worked already, and its topics have the broker's times: say in a header
            when each record was first appended.

    Returns:
        Records copied, by topic.

    Raises:
        Fenced: a worker of the source took a partition, or another move is running.
        BrokerUnavailable: the records copied so far are committed; call again for the rest.
    """
    producer = _producer(source, part.transactional_id)
    copied: Counter[str] = Counter()

    async def commit(offsets: Offsets, records: Sequence[Record]) -> None:
        noted = {tp: OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
        async with producer.transaction():
            await producer.send_offsets_to_transaction(noted, part.group)
            await _write(producer, source, target, part, records, spread, late)

    try:
        await start(producer)
        await fence_writers(source, part.group, part.sources(source))
        positions = await begin(source, part)
        await commit(positions, ())  # from here on the target is known to be of this move
        ends = await ends_of(source, part)
        async with _reading(source, part) as consumer:
            merged = Merged(consumer, positions, ends, part.order)
            while records := await merged.take(_AT_ONCE):
                done = merged.done()
                await commit(done, records)
                copied.update(record.topic.removeprefix(source.topic_prefix) for record in records)
                told(sum(done.values()) - sum(positions.values()))
                positions = done
            await commit(merged.done(), ())
            told(sum(merged.done().values()) - sum(positions.values()))
            return copied
    except (ProducerFenced, IllegalOperation, AssertionError) as error:
        raise Fenced(
            f"{part.transactional_id}: a worker of {source.topic_prefix} or another move took over"
        ) from error
    except KafkaError as error:
        raise BrokerUnavailable(f"Kafka: {type(error).__name__}") from error
    finally:
        await stop(producer)


def _producer(settings: Settings, transactional_id: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        **settings.kafka(),
        transactional_id=transactional_id,
        transaction_timeout_ms=_TRANSACTION_TIMEOUT_MS,
        retry_backoff_ms=5,
        linger_ms=0,
        max_batch_size=_MAX_BATCH_BYTES,
        max_request_size=_MAX_REQUEST_BYTES,
    )


async def _write(
    producer: AIOKafkaProducer,
    source: Settings,
    target: Settings,
    part: Part,
    records: Sequence[Record],
    spread: Mapping[str, int],
    late: bool,
) -> None:
    """Write records with their own times, and await the fate of each batch."""
    builders: dict[tuple[str, int], RecordBatch] = {}
    fates = []

    async def send(place: tuple[str, int]) -> None:
        builder = builders.pop(place)
        builder.close()
        fates.append(await producer.send_batch(builder, place[0], partition=place[1]))

    convert = part.convert or (lambda record: [(record.key, record.value)])
    converted = [(record, key, value) for record in records for key, value in convert(record)]
    numbers = [_number_in(key) for _, key, _ in converted]
    all_places = {count: partitions_of(numbers, count) for count in set(spread.values())}
    for index, (record, key, value) in enumerate(converted):
        name = part.becomes or record.topic.removeprefix(source.topic_prefix)
        place = (target.topic_prefix + name, all_places[spread[name]][index])
        headers = of_the_way(record) if late else list(record.headers)
        if part.says_where:
            where = f"{record.topic}[{record.partition}]@{record.offset}"
            headers.append((MOVED_FROM, where.encode()))
        at_ms = record.timestamp
        builder = builders.get(place)
        if builder is None or (
            builder.append(timestamp=at_ms, key=key, value=value, headers=headers) is None
        ):
            if builder is not None:
                await send(place)
            builder = builders[place] = producer.create_batch()
            builder.append(timestamp=at_ms, key=key, value=value, headers=headers)
    for place in list(builders):
        await send(place)
    for fate in fates:
        await fate


def _number_in(key: bytes | None) -> bytes:
    """The subscriber key in a key, of a message's or of an entry of the list."""
    return (key or b"").rpartition(b"/")[2].rpartition(b":")[2]
