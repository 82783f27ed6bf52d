"""The raw log of a topic: producers, epochs, and transaction markers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka import TopicPartition
from aiokafka.errors import for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.memory_records import MemoryRecords

from processor.config import Settings
from processor.kafka.client import reader

_PIECE_BYTES = 1 << 22
_UNCOMMITTED = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A record, or a mark that ends a transaction."""

    tp: TopicPartition
    offset: int
    at_ms: int  # when the broker appended it, where the topic keeps the broker's time
    producer: tuple[int, int] | None  # id and epoch, of a transaction only
    mark: Literal["commit", "abort"] | None
    key: bytes | None
    value: bytes | None


async def entries(
    settings: Settings,
    topic: str,
    *,
    partitions: Iterable[int] | None = None,
    since: Mapping[int, int] | None = None,
) -> AsyncIterator[Entry]:
    """Everything in a topic up to its end now, aborted records too, each partition in order.

    Args:
        settings: of the installation.
        topic: full name.
        partitions: which, all of the installation's if None.
        since: partition to the offset to begin at; 0 where it names none.
    """
    async with reader(
        settings,
        [topic],
        at_end=False,
        partitions=partitions,
        isolation="read_uncommitted",
        paused=True,
    ) as consumer:
        sources = sorted(consumer.assignment())
        ends = await consumer.end_offsets(sources)
        begins = await consumer.beginning_offsets(sources)
        for tp in sources:
            offset = max(begins[tp], (since or {}).get(tp.partition, 0))
            while offset < ends[tp]:
                read = list(_in(tp, await _fetch(consumer._client, tp, offset)))
                assert read, f"{tp} holds nothing at {offset}, though it ends at {ends[tp]}"
                for entry in read:
                    if offset <= entry.offset < ends[tp]:
                        yield entry
                offset = read[-1].offset + 1


async def _fetch(client: Any, tp: TopicPartition, offset: int) -> bytes:
    asked = [(tp.topic, [(tp.partition, offset, _PIECE_BYTES)])]
    request = FetchRequest(1_000, 1, _PIECE_BYTES, _UNCOMMITTED, asked)
    answer = await client.send(client.cluster.leader_for_partition(tp), request)
    [(_, [(_, error_code, *_, data)])] = answer.topics
    if error_code:
        raise for_code(error_code)(str(tp))
    return bytes(data or b"")


def _in(tp: TopicPartition, data: bytes) -> Iterable[Entry]:
    records = MemoryRecords(data)
    while records.has_next():
        batch = records.next_batch()
        assert batch is not None
        producer = (batch.producer_id, batch.producer_epoch) if batch.is_transactional else None
        for record in batch:
            mark: Literal["commit", "abort"] | None = None
            if batch.is_control_batch:
                is_abort = ControlRecord.parse(record.key) == ABORT_MARKER
                mark = "abort" if is_abort else "commit"
            yield Entry(
                tp, record.offset, record.timestamp, producer, mark, record.key, record.value
            )
