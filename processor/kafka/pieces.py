"""A compressed batch cut into pieces, each of them a batch that is not compressed."""

from __future__ import annotations

import struct
from typing import NamedTuple

from processor.kafka.codecs import Broken

PIECE = 1 << 20  # bytes of records, about; a longer record is a piece of its own
SPARE = 16  # bytes behind a piece: aiokafka sees that a number is past the end after reading it
MOST_HEADERS = 1_000  # of a record: in memory each is up to 30 times its bytes
HEADER = 61  # bytes of a batch before its records
CODEC_MASK = 0x07
INT = struct.Struct(">i")
UNCLEAR = "a batch that cannot be split into records"

_LONGEST = 2 << 20  # a record; no topic of ours takes a longer one
_BEGINS = 1 << 16  # bytes of a value that are handed out of a record that is left out
_LENGTHY = 1 << 16  # bytes of a record from which on its headers are counted
_ATTRIBUTES_AT, _COUNT_AT = 22, 57
_TOO_LONG = f"a record that inflates to more than {_LONGEST >> 20} MiB"
_TOO_MANY = f"a record with more than {MOST_HEADERS:,} headers in a long compressed batch"


class LeftOut(NamedTuple):
    """A record that would fill the memory."""

    offset: int  # from the batch's first
    why: str
    begins: bytes  # of its value


class _Cut(NamedTuple):
    """The next part of an inflated payload: a piece, or a record that is left out."""

    end: int  # in the payload
    records: int = 0
    left_out: LeftOut | None = None


class Walk:
    """A compressed batch whose pieces are taken one after another.

    Args:
        raw: the batch as it lies in the log.
    """

    # Most batches are a single piece, so attributes that only others need are not set for each.
    payload: memoryview | None = None  # inflated, where that is kept
    why = ""  # it cannot be inflated
    is_long = False  # so that it needs a turn
    asked_at = 0.0  # for a piece, monotonic seconds
    kept = kept_piece = 0  # bytes of the budget
    _at = 0  # in the payload; everything before it was taken

    def __init__(self, raw: memoryview) -> None:
        self._head = bytearray(raw[:HEADER])
        self.codec = self._head[_ATTRIBUTES_AT] & CODEC_MASK
        self._head[_ATTRIBUTES_AT] &= ~CODEC_MASK
        self.compressed = raw[HEADER:]
        self.at_end = INT.unpack_from(raw, _COUNT_AT)[0] == 0  # all were compacted away

    def whole(self, payload: memoryview) -> memoryview:
        """All as one piece; ``payload`` has spare bytes at its end."""
        self._next = self._size = len(payload) - SPARE
        return memoryview(b"".join((self._head, payload)))[:-SPARE]

    def piece(self, payload: memoryview) -> memoryview | LeftOut:
        """The next piece, or record that is left out.

        Raises:
            Broken: these are not records.
        """
        self._size = len(payload)
        cut = _cut(payload, self._at)
        self._next = cut.end
        if cut.left_out:
            return cut.left_out
        INT.pack_into(self._head, _COUNT_AT, cut.records)
        records = payload[self._at : cut.end]
        return memoryview(b"".join((self._head, records, bytes(SPARE))))[:-SPARE]

    def go_on(self) -> None:
        """Go on behind the part that was taken."""
        self._at = self._next
        self.at_end = self._at >= self._size
        if self.kept_piece:
            self.kept_piece = 0
        if self.at_end and self.payload is not None:
            self.payload, self.kept = None, 0


def _cut(payload: memoryview, begin: int) -> _Cut:
    end, count = begin, 0
    while end < len(payload):
        first, length = _number(payload, end)
        behind = first + length
        if not first < behind <= len(payload):
            raise Broken(UNCLEAR)
        left_out = _left_out(payload[first:behind]) if length > _LENGTHY else None
        if count and (left_out or behind - begin > PIECE):
            break
        if left_out:
            return _Cut(behind, left_out=left_out)
        end, count = behind, count + 1
    return _Cut(end, count)


def _left_out(record: memoryview) -> LeftOut | None:
    at, _ = _number(record, 1)  # the time follows the attributes
    at, offset = _number(record, at)
    at, length = _number(record, at)
    at, length = _number(record, at + max(length, 0))
    begins = bytes(record[at : at + min(length, _BEGINS)]) if length > 0 else b""
    if len(record) > _LONGEST:
        return LeftOut(offset, _TOO_LONG, begins)
    _, headers = _number(record, at + max(length, 0))
    return LeftOut(offset, _TOO_MANY, begins) if headers > MOST_HEADERS else None


def _number(data: memoryview, at: int) -> tuple[int, int]:
    """Where that begins which follows a number, and the number."""
    number = 0
    for place, byte in enumerate(data[at : at + 10]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return at + place + 1, (number >> 1) ^ -(number & 1)
    raise Broken(UNCLEAR)
