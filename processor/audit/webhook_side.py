"""Follow each delivery through its tries: it was made, put aside, or waits (R28)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from processor.audit.context import Context
from processor.audit.parsing import WRONG, KafkaRecord, fields_of
from processor.audit.request_records import asks_for_request, id_of
from processor.audit.streams import Stream
from processor.audit.values import STATUSES, Made, Try, Unreadable, digest
from processor.kafka.partition_facts import aiokafkas_partition_of

_MOST_AT_ONCE = 1_000  # rows that are written at once
_DIGEST = len(digest())


class Ends:
    """How tries ended, as retries and the lane's own notes have it; they are in the state.

    Args:
        context: of the partition.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._new: list[tuple[str, int, int, bytes]] = []

    async def add_tries(self, topic: str, stream: Stream[Try]) -> None:
        """Note which tries had another behind them."""
        while (one := await stream.look()) is not None:
            stream.take()
            if one.before is None:
                where = f"{topic}[{self._context.number}]@{one.offset}"
                what = "names no try before it"
                self._context.findings.add("contradictory", where, what, one.at_ms)
                continue
            first, partition, offset = one.before
            if partition == self._context.number:  # else it was in another than its key's
                self._add(first, offset, offset + 1, one.id)
        self._write()

    async def add_made(self, stream: Stream[Made]) -> None:
        """Note which requests were answered."""
        while (one := await stream.look()) is not None:
            stream.take()
            for run in one.runs:
                self._add(*run, b"")
        self._write()

    def _add(self, topic: str, first: int, end: int, id_: bytes) -> None:
        self._new.append((topic, first, end, id_))
        if len(self._new) >= _MOST_AT_ONCE:
            self._write()

    def _write(self) -> None:
        self._context.state.end(self._new)
        self._new.clear()


@dataclass(slots=True)
class _Known:
    """The ends of a topic's records, in their order."""

    rows: Iterator[tuple[int, int, bytes]]
    head: tuple[int, int, bytes] | None = None
    made_until: int = 0
    tries: tuple[bytes, ...] = ()  # ids of the next tries of the record that was asked for

    def go_to(self, offset: int) -> None:
        """Find how a record ended; offsets grow from call to call."""
        self.tries = ()
        while True:
            if self.head is None:
                self.head = next(self.rows, None)
            if self.head is None or self.head[0] > offset:
                return
            first, end, id_ = self.head
            self.head = None
            if not id_:
                self.made_until = max(self.made_until, end)
            elif first == offset:
                self.tries = (*self.tries, id_)


async def follow(context: Context, topic: str, due: Stream[KafkaRecord], end: int) -> None:
    """Check that each record of a topic that is done ended in a way that others show.

    Args:
        context: of the partition.
        topic: of the records, without the prefix.
        due: the records.
        end: offset behind those that are done.
    """
    known = _Known(context.state.ended(topic))
    while (record := await due.look()) is not None and record.offset < end:
        due.take()
        if not asks_for_request(topic, record):
            continue
        context.findings.counts["tries_checked"] += 1
        known.go_to(record.offset)
        if known.tries:
            _compare(context, topic, record, known.tries)
        elif record.offset >= known.made_until and not context.is_put_aside(topic, record.offset):
            _lost(context, topic, record)


def _compare(context: Context, topic: str, record: KafkaRecord, tries: tuple[bytes, ...]) -> None:
    """Check that the next try is of the same delivery."""
    try:
        own = id_of(fields_of(record.value))
    except (Unreadable, *WRONG):
        return  # an unreadable record has no next try
    length = _DIGEST if topic == STATUSES else 2 * _DIGEST
    if any(one[:length] != own[:length] for one in tries):
        what = "its next try is of another delivery"
        context.findings.add("contradictory", _where(context, topic, record), what)


def _lost(context: Context, topic: str, record: KafkaRecord) -> None:
    if aiokafkas_partition_of(record.key or b"", context.of) != context.number:
        context.findings.counts["not_checked"] += 1  # its next try is in its key's partition
        return
    what = "its request was neither made, tried again nor put aside"
    context.findings.add("lost", _where(context, topic, record), what, record.timestamp)


def _where(context: Context, topic: str, record: KafkaRecord) -> str:
    try:
        sid = str(fields_of(record.value)["message_sid"])
    except (Unreadable, *WRONG):
        sid = ""
    return f"{topic}[{context.number}]@{record.offset} {sid}".rstrip()
