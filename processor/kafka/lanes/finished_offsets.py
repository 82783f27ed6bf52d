"""Which records of a partition are done, where they finish out of order.

A group commits one offset, from which a restart reads again. A note beside it lists the later
records that are done, so that a restart does not repeat them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

_MOST_CHARACTERS = 4_000  # a broker takes 4,096 (offset.metadata.max.bytes)


class Offsets:
    """The records of one partition that are in progress.

    Args:
        committed: the first offset that is not known to be done.
        note: the result of ``note`` at that commit.
    """

    def __init__(self, committed: int, note: str = "") -> None:
        self.position = committed  # of what is read next
        self._open: OrderedDict[int, None] = OrderedDict()
        self._done_before = list(_done_runs(committed, note))
        self.changed = False  # since it was committed last

    def copy(self) -> Offsets:
        """An independent copy of the current state."""
        made = Offsets(self.position)
        made._open, made._done_before = self._open.copy(), self._done_before.copy()
        made.changed = self.changed
        return made

    def __len__(self) -> int:
        """How many records are in progress."""
        return len(self._open)

    @property
    def committed(self) -> int:
        """The lowest offset that is not done."""
        return next(iter(self._open), self.position)

    def __contains__(self, offset: int) -> bool:
        """Whether a record is in progress."""
        return offset in self._open

    def begin(self, offset: int) -> bool:
        """Begin a record, in the order of offsets; False if it was done before a restart."""
        self.advance(offset + 1)
        while self._done_before and self._done_before[0].stop <= offset:
            self._done_before.pop(0)
        if self._done_before and offset in self._done_before[0]:
            return False
        self._open[offset] = None
        return True

    def finish(self, offset: int) -> None:
        """A record is done."""
        del self._open[offset]
        self.changed = True

    def advance(self, position: int) -> None:
        """All offsets below were read; those without a record need no work."""
        if position > self.position:
            self.position = position
            self.changed = True

    def note(self) -> str:
        """The lengths of the runs from the committed offset: in progress, done, and so on in turn.

        As far as there is room: records that it leaves out are done again.
        """
        said = ""
        for in_hand, done in self._runs():
            more = f"{said}{',' if said else ''}{in_hand},{done}"
            if len(more) > _MOST_CHARACTERS:
                break
            said = more
        return said

    @property
    def is_noted(self) -> bool:
        """Whether the whole state fits into the note."""
        return self.note().count(",") + 1 >= 2 * sum(1 for _ in self._runs())

    def _runs(self) -> Iterator[tuple[int, int]]:
        first = following = self.committed
        for offset in self._open:
            if offset > following:
                yield following - first, offset - following
                first = offset
            following = offset + 1
        if self._open and self.position > following:
            yield following - first, self.position - following


def _done_runs(committed: int, note: str) -> Iterator[range]:
    numbers = [int(text) for text in note.split(",")] if note else []
    at = committed
    for in_hand, done in zip(numbers[::2], numbers[1::2], strict=True):
        yield range(at + in_hand, at + in_hand + done)
        at += in_hand + done
