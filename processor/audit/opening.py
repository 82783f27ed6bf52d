"""Makes the streams of a partition, each with the parser of its topic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from processor.audit import output_records as outputs
from processor.audit.engine import Streams
from processor.audit.match_side import MatchStreams
from processor.audit.parsing import Fields, KafkaRecord, read
from processor.audit.source_records import is_redriven
from processor.audit.streams import Fill, HasOffset, Stream
from processor.audit.values import (
    ALLOWED,
    CHANGES,
    COMMANDS,
    DELIVERIES,
    HAND_OVERS,
    INBOUND,
    LIST,
    NOTIFICATIONS,
    OUTBOUND,
    REPLIES,
    STATUSES,
    SUSPECTED,
    Entry,
)

_T = TypeVar("_T", bound=HasOffset)

OnUnreadable = Callable[[str, KafkaRecord], None]


def open_streams(
    fills: Mapping[str, Fill], begins: Mapping[str, int], unreadable: OnUnreadable
) -> Streams:
    """Make the streams of a partition.

    Args:
        fills: topic to its source of outputs.
        begins: topic to the offset of its first record.
        unreadable: called with the topic and the record that cannot be parsed.
    """

    def stream(topic: str, parse: Callable[[KafkaRecord], _T | None]) -> Stream[_T]:
        begin, on_wrong = begins[topic], partial(unreadable, topic)
        return Stream(fills[topic], parse, begin=begin, unreadable=on_wrong)

    def values(topic: str, parse: Callable[[KafkaRecord, Fields], _T]) -> Stream[_T]:
        return stream(topic, lambda record: read(parse, record))

    def raw(topic: str) -> Stream[KafkaRecord]:
        return stream(topic, lambda record: record)

    return Streams(
        MatchStreams(
            raw(INBOUND),
            raw(COMMANDS),
            values(NOTIFICATIONS, outputs.notification),
            values(REPLIES, outputs.reply),
            values(SUSPECTED, outputs.report),
            # An operator sent a delivery again: no message asks for a second one.
            stream(
                DELIVERIES,
                lambda record: None if is_redriven(record) else read(outputs.delivery, record),
            ),
            values(CHANGES, outputs.change),
        ),
        raw(OUTBOUND),
        stream(ALLOWED, outputs.allowed),
        stream(STATUSES, outputs.failed),
        stream(HAND_OVERS, outputs.hand_over),
        entries_of(fills[LIST], begins[LIST], unreadable),
    )


def entries_of(fill: Fill, begin: int, unreadable: OnUnreadable) -> Stream[Entry]:
    """Make the stream of block-list."""
    return Stream(fill, outputs.entry, begin=begin, unreadable=partial(unreadable, LIST))
