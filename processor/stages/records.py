"""What every stage does with a record first: is it whole, and is it where it belongs?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from processor.core.partitions import all_in, partition_of
from processor.errors import RecordError
from processor.wire import dead_letters
from processor.wire.json_values import MAX_VALUE_BYTES, reason, refuse_size

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class Puts(Protocol):
    """Where a stage puts what it emits."""

    def put(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        """Add a record to this lane's partition of a topic."""
        ...


Read = Mapping[str, Callable[[bytes], _T]]
Refuse = Callable[[Any, str], None]


def read_all(records: Sequence[Any], read: Read[_T], refuse: Refuse) -> tuple[list[Any], list[_T]]:
    """Read every record by its topic's reader; what cannot be read is refused with the reason.

    Returns:
        The records that could be read, and what each held.
    """
    values = [record.value for record in records]
    topics = {record.topic for record in records}
    if len(topics) == 1 and None not in values and max(map(len, values)) <= MAX_VALUE_BYTES:
        try:
            return list(records), list(map(read[topics.pop()], values))
        except ValidationError:
            pass  # some are wrong: now one by one
    good, held = [], []
    for record in records:
        try:
            refuse_size(record.value)
            held.append(read[record.topic](record.value))
            good.append(record)
        except ValidationError as error:
            refuse(record, reason(error))
        except RecordError as error:
            refuse(record, str(error))
    return good, held


def all_placed(records: Sequence[Any], recipients: Sequence[str], partitions: int) -> bool:
    """Whether every record's key is its recipient's number, and belongs where the record stands."""
    keys = [record.key for record in records]
    return (
        None not in keys
        and b"\n".join(keys) == "\n".join(recipients).encode()
        and all_in(keys, records[0].partition, partitions)
    )


def refuse_place(record: Any, recipient: str, partitions: int) -> None:
    """Refuse a record that stands where its recipient's others do not.

    Raises:
        RecordError: with the reason and the remedy.
    """
    if record.key != recipient.encode():
        raise RecordError("the key is not the recipient's bare E.164 number")
    place = partition_of(record.key, partitions)
    if record.partition != place:
        raise RecordError(
            f"in partition {record.partition}, the key belongs in {place}: the producer must "
            "partition by murmur2 (librdkafka: partitioner=murmur2_random)"
        )


def to_dead_letters(out: Puts, topic: str, record: Any, *, stage: str, why: str) -> None:
    """Put a record that cannot be handled aside, untouched, with the reason."""
    headers = dead_letters.headers(
        record.headers,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        stage=stage,
        reason=why,
    )
    out.put(topic, record.key, record.value, headers)
    logger.warning(
        "record.refused",
        extra={"topic": record.topic, "partition": record.partition, "offset": record.offset},
    )
