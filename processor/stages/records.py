"""What every stage does with a record first: is it whole, and is it where it belongs?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from processor.core.links import Way
from processor.core.partitions import all_in, partition_of
from processor.errors import RecordError
from processor.kafka.fetched import UnreadBatch
from processor.stages.faults import Faults, place_of, reason_of
from processor.wire import dead_letters
from processor.wire.headers import SENT_ON, of_the_way, was_sent_on
from processor.wire.json_values import (
    MAX_VALUE_BYTES,
    UNREADABLE,
    refuse_size,
    why_unreadable,
)
from processor.wire.records import Header, Headers, Output, Record
from processor.wire.ways import header_of

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_SURE_BYTES = 500_000  # of key and value: it fits with all headers that may be kept, and ours
MOST_OUTPUT_BYTES = 1_000_000  # of a record's key, value and headers: every topic takes this


Read = Mapping[str, Callable[[Sequence[bytes]], Sequence[_T]]]  # by topic
Refuse = Callable[[Record, str], None]


@dataclass(slots=True)
class Sorted(Generic[_T]):
    """The records of a batch that can be decided on, with what each holds, and the others."""

    good: Sequence[tuple[Record, _T]] = ()
    aside: list[tuple[Record, str]] = field(default_factory=list)  # with the reason
    elsewhere: list[tuple[Record, str]] = field(default_factory=list)  # with the recipient


def read_all(records: Sequence[Record], read: Read[_T], refuse: Refuse) -> list[tuple[Record, _T]]:
    """The records that their topics' readers can read, and what each held.

    The others are refused with the reason.
    """
    values = [record.value for record in records]
    topics = {record.topic for record in records}
    if len(topics) == 1 and None not in values and max(map(len, values)) <= MAX_VALUE_BYTES:
        try:
            return list(zip(records, read[topics.pop()](values), strict=True))
        except UNREADABLE:
            pass  # some are wrong: now one by one
    good = []
    for record in records:
        if isinstance(record, UnreadBatch):
            refuse(record, record.why)
            continue
        try:
            refuse_size(record.value)
            good.append((record, read[record.topic]([record.value])[0]))
        except UNREADABLE as error:
            refuse(record, why_unreadable(error))
    return good


def placed(
    read: Sequence[tuple[Record, _T]],
    recipients: Sequence[str],
    partitions: int,
    misplaced: Callable[[Record, str], None],
) -> Sequence[tuple[Record, _T]]:
    """The records in their recipients' partition, and the value of each.

    Args:
        read: records of one partition, and the value of each.
        recipients: subscriber key of each.
        partitions: of the topic.
        misplaced: called with each of the others, and its recipient.
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
        record, key = pair[0], recipient.encode()
        if record.key == key and record.partition == partition_of(key, partitions):
            good.append(pair)
        else:
            misplaced(record, recipient)
    return good


def into(sorted_: Sorted[_T]) -> Callable[[Record, str], None]:
    """Where ``placed`` sends what is misplaced: on, and aside if it was sent on before."""

    def misplaced(record: Record, recipient: str) -> None:
        if was_sent_on(record):
            sorted_.aside.append(
                (
                    record,
                    "not in the partition of its recipient, though it was sent on: the partition "
                    "counts of workers differ, see OPTOUT_PARTITIONS",
                )
            )
        else:
            sorted_.elsewhere.append((record, recipient))

    return misplaced


def send_on(out: Output, record: Record, recipient: str, partitions: int) -> None:
    """Put a misplaced record where its recipient's others are, with the time it first came."""
    _send_to(out, record, recipient, partitions)
    out.counts["misplaced"] += 1


def send_along(out: Output, record: Record, way: Way, partitions: int) -> None:
    """Put a record where the other address of its person has its entry (R32).

    Raises:
        RecordError: no broker would take it.
    """
    _send_to(out, record, way.at, partitions, header_of(way))


def _send_to(out: Output, record: Record, subscriber: str, partitions: int, *more: Header) -> None:
    key = subscriber.encode()
    where = f"{record.topic}[{record.partition}]@{record.offset}"
    headers = [*of_the_way(record), (SENT_ON, where.encode()), *more]
    refuse_output(key, record.value, headers)
    out.put(record.topic, key, record.value, headers, partition_of(key, partitions))


def refuse_output(key: bytes | None, value: bytes | None, headers: Headers | None) -> None:
    """Refuse an output that no broker would take.

    Args:
        key: of the output.
        value: of the output.
        headers: of the output: those that were ``kept``, and ours.

    Raises:
        RecordError: the fault is the record's that causes it.
    """
    size = len(key or b"") + len(value or b"")
    if size < _SURE_BYTES:
        return
    for name, said in headers or ():  # a loop: a generator would take twice as long
        size += len(name) + (0 if said is None else len(said))
    if size > MOST_OUTPUT_BYTES:
        raise RecordError(
            f"its output is a record of {size:,} bytes; a topic takes {MOST_OUTPUT_BYTES:,}"
        )


def to_dead_letters(
    out: Output, topic: str, aside: Sequence[tuple[Record, str]], *, stage: str
) -> None:
    """Put records that cannot be handled aside, untouched, each with its reason."""
    for record, why in aside:
        letter = dead_letters.letter_of(record, stage=stage, reason=why)
        out.put(topic, letter.key, letter.value, letter.headers)
        out.counts["references"] += letter.is_reference
    out.counts["refused"] += len(aside)
    if aside:
        first = aside[0][0]
        place = {"topic": first.topic, "partition": first.partition, "offset": first.offset}
        logger.warning("records.refused", extra={**place, "records": len(aside)})


def reasons_of(faults: Faults[Record]) -> list[tuple[Record, str]]:
    """Records that made the code raise, each with its reason; where it did goes to the log."""
    for record, error in faults:
        if isinstance(error, RecordError):
            continue
        logger.error(
            "record.fault",
            extra={
                "topic": record.topic,
                "partition": record.partition,
                "offset": record.offset,
                "why": type(error).__name__,
                "where": place_of(error),
            },
        )
    return [(record, reason_of(error)) for record, error in faults]
