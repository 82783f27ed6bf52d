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
Headers = list[tuple[str, bytes | None]]


class Puts(Protocol):
    """Where a stage puts what it emits."""

    refused: int  # records put aside so far

    def put(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
    ) -> None:
        """Add a record to this lane's partition of a topic."""
        ...


Read = Mapping[str, Callable[[Sequence[bytes]], Sequence[_T]]]  # by topic
Refuse = Callable[[Any, str], None]


def read_all(records: Sequence[Any], read: Read[_T], refuse: Refuse) -> list[tuple[Any, _T]]:
    """The records that their topics' readers can read, and what each held.

    The others are refused with the reason.
    """
    values = [record.value for record in records]
    topics = {record.topic for record in records}
    if len(topics) == 1 and None not in values and max(map(len, values)) <= MAX_VALUE_BYTES:
        try:
            return list(zip(records, read[topics.pop()](values), strict=True))
        except ValidationError:
            pass  # some are wrong: now one by one
    good = []
    for record in records:
        try:
            refuse_size(record.value)
            good.append((record, read[record.topic]([record.value])[0]))
        except ValidationError as error:
            refuse(record, reason(error))
        except RecordError as error:
            refuse(record, str(error))
    return good


def placed(
    read: Sequence[tuple[Any, _T]], recipients: Sequence[str], partitions: int, refuse: Refuse
) -> Sequence[tuple[Any, _T]]:
    """The records that stand where their recipients' others do, and what each held.

    Args:
        read: records of one partition, and what each held.
        recipients: bare E.164 number of each.
        partitions: of the topic.
        refuse: called with each of the others, the reason and the remedy.
    """
    keys = [record.key for record, _ in read]
    if not read or (
        None not in keys
        and b"\n".join(keys) == "\n".join(recipients).encode()
        and all_in(keys, read[0][0].partition, partitions)
    ):
        return read
    good = []
    for pair, recipient in zip(read, recipients, strict=True):
        record = pair[0]
        if record.key != recipient.encode():
            refuse(record, "the key is not the recipient's bare E.164 number")
        elif record.partition != (place := partition_of(record.key, partitions)):
            refuse(
                record,
                f"in partition {record.partition}, the key belongs in {place}: the producer must "
                "partition by murmur2 (librdkafka: partitioner=murmur2_random)",
            )
        else:
            good.append(pair)
    return good


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
    out.refused += 1
    logger.warning(
        "record.refused",
        extra={"topic": record.topic, "partition": record.partition, "offset": record.offset},
    )
