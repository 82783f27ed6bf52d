"""Which headers of a record go on to the records it causes, and what ours say of its way here."""

from __future__ import annotations

from processor.core.blocks import ConfigView
from processor.core.messages import Arrival
from processor.wire.records import Header, Headers, Located, Record

TRACEPARENT = "traceparent"
FIRST_APPEND = "optout.first-append"  # of the original of a record sent on or redriven, ms UTC
SOURCE = "optout.source"  # offset of the record that caused it, in its source's partition
CONFIG = "optout.config"  # how far messaging-services was read when it was decided
SERVICE = "optout.service"  # of a send to a recipient with blocks; empty if it has none
HAND_OVER = "optout.hand-over"  # on a carrier's status: see ``hand_over_of``
LOOKED_AT = "optout.looked-at"  # when the list was read just before the hand-over, ms UTC
WAY = "optout.way"  # of a record on its way between the two addresses of a person; wire/ways.py
SENT_ON = "optout.sent-on"  # topic[partition]@offset of a record that was misplaced
RETRY_OF = "optout.retry-of"  # topic[partition]@offset of the try before
MOST_HEADERS = 100
MOST_BYTES = 64 * 1024  # of a key and all headers
# These describe the record itself, not its origin: the records it causes have their own.
_ITS_OWN = frozenset(("content-type", "mark"))
_ITS_OWN_PREFIXES = ("ce_", "__connect.", "optout.")


def kept(given: Headers, key: bytes | None = None) -> Headers:
    """The headers to pass on: as many of the first as have room beside the key.

    Without a bound, a record's headers could make outputs that no broker takes.
    """
    room = MOST_BYTES - len(key or b"")
    if len(given) <= MOST_HEADERS and sum(map(_size, given)) <= room:
        return given
    fitting = []
    for one in given[:MOST_HEADERS]:
        room -= _size(one)
        if room < 0:
            break
        fitting.append(one)
    return fitting


def _size(header: Header) -> int:
    name, value = header
    return len(name.encode()) + len(value or b"")


def passed_on(given: Headers) -> list[Header] | None:
    """Trace context and whatever else a producer added; None where there is nothing."""
    return [
        (name, value)
        for name, value in kept(given)
        if name not in _ITS_OWN and not name.startswith(_ITS_OWN_PREFIXES)
    ] or None


def arrival_of(record: Record) -> Arrival:
    """When a record came, and when its original did."""
    if not record.headers:
        return Arrival(record.timestamp)
    first = dict(record.headers).get(FIRST_APPEND) or b""
    is_time = first.isascii() and first.isdigit() and len(first) < 16
    is_on_way = any(name == WAY for name, _ in record.headers)
    return Arrival(record.timestamp, int(first) if is_time else None, is_on_way)


def source_of(record: Located) -> Header:
    """The header of what a record causes: where an audit finds the cause."""
    return SOURCE, b"%d" % record.offset


def retried(record: Record) -> Headers:
    """The headers of a record's next try: an audit follows a delivery by the last of them."""
    place = f"{record.topic}[{record.partition}]@{record.offset}"
    before = [one for one in record.headers if one[0] != RETRY_OF]
    return [*kept(before, record.key), (RETRY_OF, place.encode())]


def config_of(view: ConfigView | None) -> Header:
    """The header that says under which configuration something was decided."""
    return CONFIG, b"%d" % (view.position if view else 0)


def hand_over_of(reply_to: str | None) -> Header:
    """The header that says what was handed to a carrier: a send, or the reply to which keyword."""
    return HAND_OVER, (reply_to or "send").encode()


def is_of_reply(headers: Headers) -> bool:
    """Whether a carrier's status is of a reply, which no application has sent."""
    return any(name == HAND_OVER and value != b"send" for name, value in headers)


def was_sent_on(record: Record) -> bool:
    """Whether a lane sent the record on already, as it was misplaced."""
    return any(name == SENT_ON for name, _ in record.headers)


def of_the_way(record: Record) -> list[Header]:
    """The record's own headers that are kept, and when its original was appended."""
    arrival = arrival_of(record)
    first_ms = arrival.appended_ms
    if arrival.first_ms is not None:
        first_ms = min(first_ms, arrival.first_ms)
    return [
        *(
            (name, value)
            for name, value in kept(record.headers)
            if name not in (FIRST_APPEND, SENT_ON, WAY)
        ),
        (FIRST_APPEND, str(first_ms).encode()),
    ]
