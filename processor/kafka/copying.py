"""Batches of records: of outputs one by one, or of sends that the gate allows, copied unchanged.

Compiled code writes them (``_copy.c``), where a compiler was found when the package was built.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import encode_varint

from processor.kafka.checksum import seal
from processor.kafka.fetched import FetchedRecord
from processor.kafka.ports import TransactionalBatch
from processor.wire.headers import SOURCE
from processor.wire.records import FormRecord, Header, Headers, Laid, Parts, Record, Row

try:
    from processor.kafka import _copy as native
except ImportError:  # it was not built; aiokafka's builder takes one record after another
    native = None  # type: ignore[assignment]

MOST_BYTES = 1 << 19  # of a batch
_HEAD = struct.Struct(">qiibIhiqqqhii")
_STATE, _STATE_AT = struct.Struct(">qhi"), 43  # id, epoch and sequence of the producer
_BEHIND_LENGTH = 12
_MAGIC, _TRANSACTIONAL, _NO_EPOCH = 2, 0x10, -1


class TransactionBatch:
    """Records of a transaction; has what aiokafka's sender uses of its ``BatchBuilder``.

    Args:
        at_ms: the time of all records.
        most_bytes: a record that makes it larger is refused, unless it is the first.
    """

    def __init__(self, at_ms: int, most_bytes: int) -> None:
        self._at_ms = at_ms
        self._room = most_bytes - _HEAD.size
        self._records: list[bytes] = []
        self._count = 0
        self._closed = False
        self._state = (-1, -1, 0)

    @classmethod
    def of(cls, records: bytes, count: int, at_ms: int) -> TransactionBatch:
        """A batch of so many records, as they lie in it; it takes no further one."""
        batch = cls(at_ms, 0)
        batch._records, batch._count, batch._closed = [records], count, True
        return batch

    def append(
        self,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: list[Header] | None = None,
        timestamp: int | None = None,
    ) -> bool | None:
        """Take a record; None: it is full."""
        return self._add(native.record(self._count, key, value, headers or []))

    def fill(self, rows: list[Row], first: int) -> int:
        """Take records with holes, as many as have room.

        Args:
            rows: see ``Output``.
            first: index of the first row to take.

        Returns:
            How many it took; it is full if some are left.
        """
        records, count = native.fill(self._count, self._room, rows, first)
        self._room -= len(records)
        if count:
            self._records.append(records)
            self._count += count
        self._closed = self._closed or first + count < len(rows)
        return count

    def _add(self, record: bytes) -> bool | None:
        self._room -= len(record)
        if self._closed or (self._room < 0 and self._records):
            self._closed = True
            return None
        self._records.append(record)
        self._count += 1
        return True

    def record_count(self) -> int:
        """How many records."""
        return self._count

    def close(self) -> None:
        """Take no further record."""
        self._closed = True

    def closed(self) -> bool:
        """Whether it takes no further record."""
        return self._closed

    def _set_producer_state(
        self, producer_id: int, producer_epoch: int, base_sequence: int
    ) -> None:
        self._state = producer_id, producer_epoch, base_sequence

    def _build(self) -> bytearray:
        records = b"".join(self._records)
        length = _HEAD.size - _BEHIND_LENGTH + len(records)
        times = self._at_ms, self._at_ms
        last = self._count - 1
        head = _HEAD.pack(
            *(0, length, _NO_EPOCH, _MAGIC, 0, _TRANSACTIONAL, last, *times),
            *(*self._state, self._count),
        )
        whole = bytearray(head)
        whole += records
        seal(whole)
        return whole


class _Again(BatchBuilder):  # type: ignore[misc]
    """aiokafka's batch, which can be sent a second time, after an aborted transaction."""

    def _set_producer_state(self, *state: int) -> None:
        if self._buffer is None:
            super()._set_producer_state(*state)
        else:
            _STATE.pack_into(self._buffer, _STATE_AT, *state)
            seal(self._buffer)


def new_batch(at_ms: int, most_bytes: int) -> TransactionalBatch:
    """An empty batch; aiokafka's without compiled code, as it is faster then."""
    if native is None:
        return _Again(most_bytes, 0, is_transactional=True)
    return TransactionBatch(at_ms, most_bytes)


def form_record(key: Parts, value: Parts, headers: tuple[tuple[str, Parts], ...]) -> FormRecord:
    """A record with holes."""
    return FormRecord(key, value, headers, laid_out(key, value, headers))


def laid_out(key: Parts, value: Parts, headers: tuple[tuple[str, Parts], ...]) -> Laid:
    """A record with holes as it lies in a batch, behind its index; one part between two holes."""
    laid: list[bytes | int | Parts] = [*_laid(key), *_laid(value), _number(len(headers))]
    for name, parts in headers:
        laid += (*_laid((name.encode(),)), *_laid(parts))
    joined: list[bytes | int | Parts] = []
    for part in laid:
        if joined and isinstance(part, bytes) and isinstance(last := joined[-1], bytes):
            joined[-1] = last + part
        else:
            joined.append(part)
    return tuple(joined)


def _laid(parts: Parts) -> Laid:
    """A piece behind its length; the length of a piece with holes is known when they are filled."""
    known = [part for part in parts if isinstance(part, bytes)]
    if len(known) < len(parts):
        return (parts,)
    whole = b"".join(known)
    return _number(len(whole)), whole


def _number(number: int) -> bytes:
    out = bytearray()
    encode_varint(number, out.append)
    return bytes(out)


def can_copy(records: Sequence[Record]) -> bool:
    """Whether ``copied`` takes these records: compiled code is there, and they were fetched."""
    return native is not None and all(type(record) is FetchedRecord for record in records)


def copied(
    records: Sequence[Record], headers: Headers, *, at_ms: int, most_bytes: int
) -> list[TransactionBatch]:
    """Batches of keys and values of records, in their order.

    Args:
        records: that ``can_copy`` is true of.
        headers: of each copy, and ``source_of`` the record behind them; not the record's own.
        at_ms: the time of all.
        most_bytes: of a batch; one that has a single record may be larger.
    """
    room = most_bytes - _HEAD.size
    return [
        TransactionBatch.of(chunk, count, at_ms)
        for chunk, count in native.copies(records, _written(headers), room)
    ]


def _written(headers: Headers) -> bytes:
    """Headers as they lie in a record, and the name of one more."""
    out = bytearray()
    encode_varint(len(headers) + 1, out.append)
    for name, value in headers:
        _put(out, name.encode())
        encode_varint(-1 if value is None else len(value), out.append)
        out += value or b""
    _put(out, SOURCE.encode())
    return bytes(out)


def _put(out: bytearray, piece: bytes) -> None:
    encode_varint(len(piece), out.append)
    out += piece
