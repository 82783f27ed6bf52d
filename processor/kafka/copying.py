"""Batches of records that are copied unchanged, such as sends that the gate allows.

Compiled code copies them (``_copy.c``), where a compiler was found when the package was built.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from aiokafka.record.util import encode_varint

from processor.kafka.checksum import seal
from processor.kafka.fetched import FetchedRecord
from processor.wire.headers import SOURCE
from processor.wire.records import Headers, Record

try:
    from processor.kafka import _copy as native
except ImportError:  # it was not built; aiokafka's builder takes one record after another
    native = None  # type: ignore[assignment]

_HEAD = struct.Struct(">qiibIhiqqqhii")
_BEHIND_LENGTH = 12
_MAGIC, _TRANSACTIONAL, _NO_EPOCH = 2, 0x10, -1


class CopiedBatch:
    """Records of a transaction; has what aiokafka's sender uses of its ``BatchBuilder``.

    Args:
        records: as they lie in a batch.
        count: of them.
        at_ms: the time of all.
    """

    def __init__(self, records: bytes, count: int, at_ms: int) -> None:
        self._records = records
        self._count = count
        self._at_ms = at_ms
        self._state = (-1, -1, 0)

    def record_count(self) -> int:
        """How many records."""
        return self._count

    def append(self, **record: object) -> None:
        """Take no further record: it is full."""

    def close(self) -> None:
        """Nothing: it is full."""

    def closed(self) -> bool:
        """Whether it takes no further record."""
        return True

    def _set_producer_state(
        self, producer_id: int, producer_epoch: int, base_sequence: int
    ) -> None:
        self._state = producer_id, producer_epoch, base_sequence

    def _build(self) -> bytearray:
        length = _HEAD.size - _BEHIND_LENGTH + len(self._records)
        times = self._at_ms, self._at_ms
        last = self._count - 1
        head = _HEAD.pack(
            *(0, length, _NO_EPOCH, _MAGIC, 0, _TRANSACTIONAL, last, *times),
            *(*self._state, self._count),
        )
        whole = bytearray(head)
        whole += self._records
        seal(whole)
        return whole


def can_copy(records: Sequence[Record]) -> bool:
    """Whether ``copied`` takes these records: compiled code is there, and they were fetched."""
    return native is not None and all(type(record) is FetchedRecord for record in records)


def copied(
    records: Sequence[Record], headers: Headers, *, at_ms: int, most_bytes: int
) -> list[CopiedBatch]:
    """Batches of keys and values of records, in their order.

    Args:
        records: that ``can_copy`` is true of.
        headers: of each copy, and ``source_of`` the record behind them; not the record's own.
        at_ms: the time of all.
        most_bytes: of a batch; one that has a single record may be larger.
    """
    room = most_bytes - _HEAD.size
    return [
        CopiedBatch(chunk, count, at_ms)
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
