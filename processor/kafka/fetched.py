"""Hands fetched records to consumers in bounded pieces, and passes unreadable records over.

aiokafka 0.14 inflates a whole batch, however far it goes; it raises where it cannot, and reads the
same again for ever. One batch of a stranger's would stop a partition, or end every process that
reads it. Here ``inflating`` has the limits; an ``UnreadBatch`` takes the place of what is broken
or beyond them. A wrong checksum is another matter: a disk or the network failed, and readers wait.

Compiled code draws the records, where a compiler was found when the package was built. It stops at
whatever is unusual, and aiokafka's reader goes on there.

A header name that is not UTF-8 is read as in Kafka's Java client, with U+FFFD for each fault;
aiokafka would raise. Only the batch that contains it is read in this slower way.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile, islice
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.subscription_state import TopicPartitionState
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecord, DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint_py

from processor.kafka.checksum import is_whole
from processor.kafka.codecs import Broken
from processor.kafka.inflating import Inflating
from processor.kafka.pieces import CODEC_MASK, MOST_HEADERS, PIECE, UNCLEAR, LeftOut, Walk

if TYPE_CHECKING:
    from processor.kafka._draw import Cursor

try:
    from processor.kafka import _draw as native
except ImportError:  # it was not built; aiokafka's reader draws all
    native = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_HEADERS = 20_000  # that are handed out at once, about
_TURN_S = 0.02  # between two looks whether it is a batch's turn
_LENGTH_AT, _OVERHEAD = 8, 12  # in a batch; the length counts what is behind it
_LENGTH_AND_EPOCH = Struct(">ii")  # of the batch, and the leader epoch it was written under
_IN_TRANSACTION = 0x30  # attributes of a batch that is of a transaction, or the mark that ends one
_MAGIC_AT, _MAGIC = 16, 2  # of the format of a batch
_NOTHING = memoryview(b"")
_TOO_OLD = "a batch in a format from before Kafka 0.11"


def is_native() -> bool:
    """Whether compiled code (``_draw.c``) draws the records out of batches."""
    return native is not None


class FetchedRecord(NamedTuple):
    """A record with what aiokafka's ``ConsumerRecord`` has; a tuple is made in half the time."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    @property
    def checksum(self) -> None:
        """None; Faust asks."""

    @property
    def serialized_key_size(self) -> int:
        """Bytes of the key; Faust asks."""
        return -1 if self.key is None else len(self.key)

    @property
    def serialized_value_size(self) -> int:
        """Bytes of the value; Faust asks."""
        return -1 if self.value is None else len(self.value)


@dataclass(frozen=True, slots=True)
class UnreadBatch:
    """Replaces unreadable records: a whole batch, the rest of a batch, or one record in it."""

    topic: str
    partition: int
    offset: int  # of the last record: a reader that continues behind it has passed them all
    timestamp: int  # the latest of the batch
    timestamp_type: int
    first_offset: int
    size: int  # of the whole batch as it lies in the log
    sha256: str  # of the same, in hexadecimal
    why: str  # free of what it holds
    begins: bytes = b""  # of the value, where it is one record
    key: None = None
    value: None = None
    headers: tuple[()] = ()
    checksum: None = None
    serialized_key_size: int = -1
    serialized_value_size: int = -1


def readable(records: Iterable[_T]) -> list[_T]:
    """The records that can be read, for readers that must go on; the log names the others."""
    return [one for one in records if not isinstance(one, UnreadBatch)]


class _Fetched:
    """A broker's answer for a partition, as aiokafka reads it and as bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        records = MemoryRecords(data)
        self.has_next, self.next_batch = records.has_next, records.next_batch
        self.size_in_bytes = records.size_in_bytes


class _Lenient(bytearray):
    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return _Lenient(part) if isinstance(index, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """Reads any header's name, many times slower; the batch is not compressed."""

    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        self._buffer = _Lenient(self._buffer)

    def _read_msg(self) -> DefaultRecord:
        # aiokafka's compiled reader of numbers would read memory behind the batch.
        return super()._read_msg(decode_varint_py)


_inflating = Inflating()


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """Records fetched from a partition and not handed out yet.

    It is not part of a reference cycle: the worker's garbage collector runs too seldom.
    """

    def __init__(
        self,
        tp: TopicPartition,
        records: _Fetched,
        aborted_transactions: Sequence[tuple[int, int]] | None,
        fetch_offset: int,
        key_deserializer: None,  # no consumer here has one
        value_deserializer: None,
        check_crcs: bool,
        isolation_level: int,
    ) -> None:
        self._tp = tp
        self._fetched = records
        self._all = memoryview(records.data)
        self._aborted_transactions = sorted(aborted_transactions or (), key=lambda one: one[1])
        self._aborted_producers: set[int] = set()
        self._check_crcs = check_crcs
        self._committed_only = isolation_level == fetcher.READ_COMMITTED
        self.next_fetch_offset = fetch_offset
        self.at_end = False
        self.waits: Walk | None = None  # for its turn to be inflated
        self._batch: DefaultRecordBatch = None  # in hand
        self._begin = self._end = 0  # of it, in all that was fetched
        self.leader_epoch: int | None = None  # that it was written under
        self._walk: Walk | None = None  # of the batch in hand, where it is compressed
        # The records that are left of it, or of a piece of it.
        self._left: DefaultRecordBatch | Iterator[DefaultRecord] | Cursor = None
        self._piece = _NOTHING  # that piece
        self._inflated = self._headers = 0  # handed out in this call

    def take(self, most: int) -> list[FetchedRecord | UnreadBatch]:
        """The next records; none at the end, and where a batch waits for its turn.

        Raises:
            CorruptRecordException: a checksum is wrong; all of this is to be fetched again.
        """
        found: list[FetchedRecord | UnreadBatch] = []
        self._inflated = self._headers = 0
        self.waits = None
        while len(found) < most and self._inflated < PIECE and self._headers < _HEADERS:
            if self._left is None and not (
                self._open_piece(found) if self._walk else self._open_batch(found)
            ):
                break
            if self._left is not None:
                self._draw(found, most)
        if self._walk and self._left and not _inflating.may_keep(self._walk, len(self._piece)):
            self._left, self._piece = None, _NOTHING  # the next call inflates it again
        return found

    def _open_batch(self, found: list[FetchedRecord | UnreadBatch]) -> bool:
        """Begin the next batch; False where there is none."""
        if self.at_end or not self._fetched.has_next():
            self.at_end = True
            return False
        batch = self._batch = self._fetched.next_batch()
        self._begin = self._end
        length, epoch = _LENGTH_AND_EPOCH.unpack_from(self._all, self._begin + _LENGTH_AT)
        self._end += _OVERHEAD + length
        raw = self._raw()
        is_new = raw[_MAGIC_AT] == _MAGIC
        if self._check_crcs and not (is_whole(raw) if is_new else batch.validate_crc()):
            self.at_end = True
            if found:
                return False  # hand the good records out first; the next fetch begins here
            raise CorruptRecordException(f"Invalid CRC - {self._tp}")
        if batch.producer_id is None:
            self._put_aside(found, _TOO_OLD)
            return True
        self.leader_epoch = epoch
        attributes = batch.attributes
        if attributes & _IN_TRANSACTION and self._is_passed(batch):
            self._end_batch()
        elif attributes & CODEC_MASK:
            self._walk = Walk(raw)
        else:
            self._begin_records(raw)
        return True

    def _raw(self) -> memoryview:
        """The batch in hand as it lies in the log."""
        return self._all[self._begin : self._end]

    def _is_passed(self, batch: DefaultRecordBatch) -> bool:
        """Whether a batch is of a transaction that was aborted, or the mark that ends one."""
        if self._committed_only:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)

    def _open_piece(self, found: list[FetchedRecord | UnreadBatch]) -> bool:
        """Inflate what comes next of a compressed batch; False where it waits for its turn."""
        walk = self._walk
        assert walk is not None
        if walk.at_end:
            self._end_batch()
            return True
        try:
            piece = _inflating.piece(walk)
        except Broken as error:
            self._inflated += PIECE  # as much work as if it were
            self._put_aside(found, str(error))
            return True
        if piece is None:
            self.waits = walk
            return False
        if isinstance(piece, LeftOut):
            self._inflated += PIECE
            offset = self._batch.base_offset + piece.offset
            if offset >= self.next_fetch_offset:
                self._leave_out(found, piece.why, offset, offset, piece.begins)
            walk.go_on()
        else:
            self._inflated += len(piece)
            self._piece = piece
            self._begin_records(piece)
        return True

    def _begin_records(self, raw: memoryview) -> None:
        """Go on in a batch that is not compressed, where the position is."""
        if native is None:
            self._open(DefaultRecordBatch(raw))
        else:
            place = self._tp
            self._left = native.Cursor(
                raw, FetchedRecord, place.topic, place.partition, self.next_fetch_offset
            )

    def _open(self, batch: DefaultRecordBatch) -> None:
        """Continue with aiokafka's reader, which handles unusual records."""
        first = self.next_fetch_offset
        self._left = dropwhile(lambda record: record.offset < first, batch)

    def _draw(self, found: list[FetchedRecord | UnreadBatch], most: int) -> None:
        """Take records of what is open, and close it where those were all."""
        if native is not None and type(self._left) is native.Cursor:
            self._draw_natively(self._left, found, most)
        else:
            self._draw_slowly(found, most)

    def _draw_natively(
        self, cursor: Cursor, found: list[FetchedRecord | UnreadBatch], most: int
    ) -> None:
        before = len(found)
        left = cursor.draw(found, most - before, _HEADERS - self._headers)
        self._headers += cursor.headers
        if len(found) > before:
            self.next_fetch_offset = found[-1].offset + 1
        if left == native.ALL:
            self._end_records()
        elif left == native.UNUSUAL:
            self._open(DefaultRecordBatch(self._piece or self._raw()))

    def _draw_slowly(self, found: list[FetchedRecord | UnreadBatch], most: int) -> None:
        topic, partition = self._tp
        left = cast("Iterator[DefaultRecord]", self._left)
        before, headers = len(found), self._headers
        new, append = tuple.__new__, found.append  # a third of the time is looking them up
        is_all = is_misnamed = is_broken = False
        try:
            for one in islice(left, most - before):
                names = one.headers
                if names:
                    del names[MOST_HEADERS:]
                    headers += len(names)
                fields = (
                    topic,
                    partition,
                    one.offset,
                    one.timestamp,
                    one.timestamp_type,
                    one.key,
                    one.value,
                    tuple(names),
                )
                append(new(FetchedRecord, fields))
                if headers >= _HEADERS:
                    break
            else:
                is_all = len(found) < most
        except UnicodeDecodeError:
            is_misnamed = True
        except (CorruptRecordException, OverflowError, IndexError, ValueError):
            is_broken = True
        self._headers = headers
        if len(found) > before:
            self.next_fetch_offset = found[-1].offset + 1
        if is_all:
            self._end_records()
        elif is_misnamed:
            self._open(_LenientBatch(self._piece or self._raw()))
        elif is_broken:
            self._put_aside(found, UNCLEAR)

    def _end_records(self) -> None:
        """All records of what is open were taken."""
        if self._walk:
            self._left, self._piece = None, _NOTHING
            self._walk.go_on()
        else:
            self._end_batch()

    def _end_batch(self) -> None:
        # Where compaction took the last records the position must come behind them all the same.
        behind = self._batch.next_offset
        if behind > self.next_fetch_offset:
            self.next_fetch_offset = behind
        self._batch = self._walk = self._left = None
        self._piece = _NOTHING

    def _put_aside(self, found: list[FetchedRecord | UnreadBatch], why: str) -> None:
        """Pass over what is left of the batch."""
        base = int.from_bytes(self._raw()[:_LENGTH_AT], "big")
        first = max(self.next_fetch_offset, base)
        if first < self._batch.next_offset:
            self._leave_out(found, why, first, self._batch.next_offset - 1)
        self._end_batch()

    def _leave_out(
        self,
        found: list[FetchedRecord | UnreadBatch],
        why: str,
        first: int,
        last: int,
        begins: bytes = b"",
    ) -> None:
        batch, raw = self._batch, self._raw()
        one = UnreadBatch(
            topic=self._tp.topic,
            partition=self._tp.partition,
            offset=last,
            timestamp=getattr(batch, "max_timestamp", -1),  # the old format has none
            timestamp_type=getattr(batch, "timestamp_type", 0),
            first_offset=first,
            size=len(raw),
            sha256=hashlib.sha256(raw).hexdigest(),
            why=why,
            begins=begins,
        )
        logger.warning(
            "batch.unread",
            extra={
                "topic": one.topic,
                "partition": one.partition,
                "first_offset": first,
                "offset": last,
                "size": one.size,
                "why": why,
            },
        )
        found.append(one)
        self.next_fetch_offset = last + 1


class _FetchResult(fetcher.FetchResult):  # type: ignore[misc]
    _partition_records: _PartitionRecords | None

    def getall(self, max_records: int | None = None) -> list[FetchedRecord | UnreadBatch]:
        if not self.check_assignment(self._topic_partition) or self._partition_records is None:
            return []
        found = self._partition_records.take(max_records or sys.maxsize)
        self._update_position()
        if (epoch := self._partition_records.leader_epoch) is not None:
            state = self._assignment.state_value(self._topic_partition)
            state.read_to = self._partition_records.next_fetch_offset, epoch
        if self._partition_records.at_end:
            self._partition_records = None
        return found

    def getone(self) -> FetchedRecord | UnreadBatch | None:
        found = self.getall(1)
        if not found and (walk := self.waits) and _inflating.take_turn(walk):
            found = self.getall(1)
        return found[0] if found else None

    @property
    def waits(self) -> Walk | None:
        """The batch that waits for its turn."""
        return self._partition_records and self._partition_records.waits


def leader_epoch_at(state: TopicPartitionState) -> int | None:
    """The leader epoch of the batch that was read last; None: none was, up to the position.

    Args:
        state: aiokafka's, of a partition that has a position.
    """
    offset, epoch = getattr(state, "read_to", (None, None))
    return epoch if offset == state.position else None


_Found = Mapping[TopicPartition, list[FetchedRecord | UnreadBatch]]
_fetched_records: Callable[..., Awaitable[_Found]] = fetcher.Fetcher.fetched_records


async def _fetched_in_turn(
    self: fetcher.Fetcher,
    partitions: Collection[TopicPartition],
    timeout: float = 0,
    max_records: int | None = None,
) -> _Found:
    """As aiokafka's own; a long batch it has inflated in a thread first."""
    until = time.monotonic() + timeout
    while True:
        turns = [
            await asyncio.to_thread(_inflating.take_turn, walk)
            for walk in _waiting(self, partitions)
        ]
        found = await _fetched_records(self, partitions, 0, max_records)
        left_s = until - time.monotonic()
        if found or left_s <= 0:
            return found
        if not _waiting(self, partitions):
            return await _fetched_records(self, partitions, left_s, max_records)
        if not any(turns):
            await asyncio.sleep(min(left_s, _TURN_S))


def _waiting(reader: fetcher.Fetcher, partitions: Collection[TopicPartition]) -> list[Walk]:
    return [
        result.waits
        for tp, result in reader._records.items()
        if (not partitions or tp in partitions)
        and isinstance(result, _FetchResult)
        and result.waits is not None
    ]


def hand_out_in_pieces() -> None:
    """Have every consumer of this process read so; a second call changes nothing."""
    fetcher.Fetcher.fetched_records = _fetched_in_turn
    fetcher.MemoryRecords = _Fetched
    fetcher.PartitionRecords = _PartitionRecords
    fetcher.FetchResult = _FetchResult
