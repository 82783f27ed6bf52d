"""Where all consumers of a process inflate batches, and how much of them is kept in memory.

- up to 1 MiB: inflated at once, and one piece;
- up to 8 MiB: kept inflated until all pieces were taken, while all such keep no more than 64 MiB;
  inflated again for each piece otherwise;
- up to 64 MiB: inflated in a thread and kept, one in a process; others wait for their turn;
- beyond: not at all.
"""

from __future__ import annotations

import mmap
import threading
import time
import weakref

from processor.kafka.codecs import Broken, NoRoom, inflate_into
from processor.kafka.pieces import PIECE, SPARE, LeftOut, Walk

_SHORT = 8 << 20  # inflates in some milliseconds
_BUDGET = 64 << 20  # bytes of short batches that are kept inflated
_MOST = 64 << 20
_TOO_FAR = f"a batch that inflates to more than {_MOST >> 20} MiB"
_TURN_S = 1.0  # without being asked for, after which a long batch makes way for others


class Inflating:
    """Inflates; any thread may ask, and Faust's consumer has its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._room = _memory(_SHORT + SPARE)
        self._keeping: weakref.WeakSet[Walk] = weakref.WeakSet()
        self._waiting: list[weakref.ref[Walk]] = []  # for a turn, in the order they came
        self._turn: weakref.ref[Walk] | None = None
        self._is_busy = False  # inflating a long one

    def piece(self, walk: Walk) -> memoryview | LeftOut | None:
        """The next piece of a batch; None where the batch must wait for its turn.

        Raises:
            Broken: it cannot be read, or inflates too far.
        """
        with self._lock:
            if walk.payload is None and not walk.is_long:
                try:
                    return self._short(walk)
                except NoRoom:
                    walk.is_long = True
            walk.asked_at = time.monotonic()
            if walk.why:
                raise Broken(walk.why)
            return None if walk.payload is None else walk.piece(walk.payload)

    def take_turn(self, walk: Walk) -> bool:
        """Inflate a long batch if it is its turn: for a thread, as it may take half a second."""
        with self._lock:
            if not self._is_next(walk):
                return False
        try:
            room = _memory(_MOST)
            walk.payload = room[: inflate_into(walk.codec, walk.compressed, room)]
        except NoRoom:
            walk.why = _TOO_FAR
        except Broken as error:
            walk.why = str(error)
        finally:
            self._is_busy = False
        return True

    def may_keep(self, walk: Walk, piece: int) -> bool:
        """Whether a piece of so many bytes may be kept, as not all of it was taken."""
        with self._lock:
            walk.kept_piece = 0
            if self.kept() + piece > _BUDGET:
                return False
            walk.kept_piece = piece
            self._keeping.add(walk)
            return True

    def kept(self) -> int:
        """Bytes that are kept of what is not long."""
        return sum(walk.kept + walk.kept_piece for walk in self._keeping)

    def _short(self, walk: Walk) -> memoryview | LeftOut:
        size = inflate_into(walk.codec, walk.compressed, self._room[:_SHORT])
        if size <= PIECE:
            return walk.whole(self._room[: size + SPARE])
        if self.kept() + size > _BUDGET:
            return walk.piece(self._room[:size])
        walk.payload, walk.kept = memoryview(bytes(self._room[:size])), size
        self._keeping.add(walk)
        return walk.piece(walk.payload)

    def _is_next(self, walk: Walk) -> bool:
        now = walk.asked_at = time.monotonic()
        waiting = [one for ref in self._waiting if (one := ref()) and one.asked_at > now - _TURN_S]
        if walk not in waiting:
            waiting.append(walk)
        self._waiting = [weakref.ref(one) for one in waiting]
        last = self._turn and self._turn()
        is_taken = last and last.payload is not None and last.asked_at > now - _TURN_S
        if self._is_busy or is_taken or walk is not waiting[0]:
            return False
        if last:
            last.payload = None
        self._is_busy = True
        self._turn = self._waiting.pop(0)
        return True


def _memory(size: int) -> memoryview:
    """Memory that is taken only where it is written."""
    return memoryview(mmap.mmap(-1, size))
