"""Compressed batches, inflated to a limit and cut into pieces, within what a process may hold.

- up to 1 MiB: inflated at once, and one piece;
- up to 8 MiB: kept inflated until all pieces were taken, while all such keep no more than 64 MiB;
- up to 64 MiB: kept inflated, too, but only one in a process; others wait for their turn;
- beyond: not inflated.
"""

from __future__ import annotations

import mmap
import struct
import threading
import time
import weakref
from typing import NamedTuple

from processor.kafka.codecs import Broken, NoRoom, inflate_into

PIECE = 1 << 20  # bytes of records, about; a longer record is a piece of its own
_LONGEST = 2 << 20  # of a record; no topic of ours takes a longer one
_KEPT = 8 << 20  # a batch that needs no turn
_BUDGET = 64 << 20  # what is kept of those
_MOST = 64 << 20  # a batch that is inflated at all
_TURN_S = 1.0  # without a piece taken, after which a long batch makes way for another
_BEGINS = 1 << 16  # bytes of a value that are handed out of a record that is left out
_LENGTHY = 1 << 16  # bytes of a record from which on its headers are counted
MOST_HEADERS = 1_000  # of a record: in memory each is up to 30 times its bytes
_SPARE = (
    16  # bytes behind a piece: aiokafka reads a number before it looks whether it is past the end
)

HEADER = 61  # bytes of a batch before its records
_ATTRIBUTES_AT, _COUNT_AT = 22, 57
CODEC_MASK = 0x07
INT = struct.Struct(">i")

TOO_FAR = f"a batch that inflates to more than {_MOST >> 20} MiB"
UNCLEAR = "a batch whose records cannot be told apart"
_TOO_LONG = f"a record that inflates to more than {_LONGEST >> 20} MiB"
_TOO_MANY = f"a record with more than {MOST_HEADERS:,} headers in a long compressed batch"


class LeftOut(NamedTuple):
    """A record that would fill the memory."""

    offset: int  # from the batch's first
    why: str
    begins: bytes  # of its value


class _Cut(NamedTuple):
    """What comes next of an inflated payload: a piece, or a record that is left out."""

    end: int  # in the payload
    records: int = 0
    left_out: LeftOut | None = None


class Walk:
    """A compressed batch whose pieces are taken one after another.

    Args:
        raw: the batch as it lies in the log.
    """

    def __init__(self, raw: memoryview) -> None:
        self.codec = raw[_ATTRIBUTES_AT] & CODEC_MASK
        self.compressed = raw[HEADER:]
        self.at_end = INT.unpack_from(raw, _COUNT_AT)[0] == 0  # all were compacted away
        self.is_long = self.is_longer = False  # than a piece; than what needs no turn
        self.payload: memoryview | None = None  # inflated, where it is kept
        self.kept = self.kept_piece = 0  # bytes of the budget
        self._head = bytearray(raw[:HEADER])
        self._head[_ATTRIBUTES_AT] &= ~CODEC_MASK
        self._at = self._size = 0  # of the payload: what is before was taken; all
        self._cut = _Cut(0)

    def whole(self, payload: memoryview) -> memoryview:
        """All as one batch that is not compressed; ``payload`` has spare bytes at its end."""
        self._size = len(payload) - _SPARE
        self._cut = _Cut(self._size)
        return memoryview(b"".join((self._head, payload)))[:-_SPARE]

    def piece(self, payload: memoryview) -> memoryview | LeftOut:
        """What comes next, as a batch that is not compressed."""
        self._size = len(payload)
        self._cut = cut = _cut(payload, self._at)
        if cut.left_out:
            return cut.left_out
        INT.pack_into(self._head, _COUNT_AT, cut.records)
        records = payload[self._at : cut.end]
        return memoryview(b"".join((self._head, records, bytes(_SPARE))))[:-_SPARE]

    def go_on(self) -> None:
        """What came next was taken: go on behind it."""
        self.kept_piece = 0
        self._at = self._cut.end
        self.at_end = self._at >= self._size
        if self.at_end:
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
    at, _ = _number(record, 1)  # behind the attributes stands the time
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


class Inflating:
    """Where all consumers of a process inflate, and what they keep; Faust's has its own thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._room = memoryview(bytearray(PIECE + _SPARE))
        self._walks: weakref.WeakSet[Walk] = weakref.WeakSet()  # that keep something
        self._turn: weakref.ref[Walk] | None = None
        self._turn_at = 0.0
        self._no_turn_before = 0.0

    def piece(self, walk: Walk) -> memoryview | LeftOut | None:
        """What comes next of a batch, as one that is not compressed; None: it is not its turn.

        Raises:
            NoRoom: it inflates too far.
            Broken: it cannot be read.
        """
        with self._lock:
            if not walk.is_long:
                try:
                    size = inflate_into(walk.codec, walk.compressed, self._room[:PIECE])
                    return walk.whole(self._room[: size + _SPARE])
                except (NoRoom, Broken):
                    walk.is_long = True
            if walk.payload is None:
                walk.payload = self._keep(walk) or self._take_turn(walk)
            elif not walk.kept:
                self._turn_at = time.monotonic()
            return None if walk.payload is None else walk.piece(walk.payload)

    def may_keep(self, walk: Walk, piece: int) -> bool:
        """Whether a piece of so many bytes may be kept, as it was not taken whole."""
        with self._lock:
            walk.kept_piece = 0
            if self._kept() + piece > _BUDGET:
                return False
            walk.kept_piece = piece
            self._walks.add(walk)
            return True

    def _kept(self) -> int:
        return sum(walk.kept + walk.kept_piece for walk in self._walks)

    def _keep(self, walk: Walk) -> memoryview | None:
        if walk.is_longer or self._kept() + _KEPT > _BUDGET:
            return None
        try:
            payload = _inflated(walk, _KEPT)
        except (NoRoom, Broken):
            walk.is_longer = True
            return None
        walk.kept = len(payload)
        self._walks.add(walk)
        return payload

    def _take_turn(self, walk: Walk) -> memoryview | None:
        now = time.monotonic()
        other = self._turn and self._turn()
        if other and other.payload is not None:
            if now < self._turn_at + _TURN_S:
                return None
            other.payload = None
        if now < self._no_turn_before:
            return None
        try:
            payload = _inflated(walk, _MOST)
        finally:
            self._turn_at = time.monotonic()
            # It held up all else in the process, which now has as long.
            self._no_turn_before = 2 * self._turn_at - now
        self._turn = weakref.ref(walk)
        return payload


def _inflated(walk: Walk, most: int) -> memoryview:
    room = memoryview(mmap.mmap(-1, most))  # memory is taken where it is written
    return room[: inflate_into(walk.codec, walk.compressed, room)]
