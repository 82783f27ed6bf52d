"""The records of one source of an at-least-once lane, and its progress."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from processor import clocks
from processor.kafka.lanes.finished_offsets import Offsets
from processor.kafka.writing import Outgoing
from processor.wire.records import Record

_PATIENCE_S = 3.0  # for which others wait while one's record waits for room


class Work(Protocol):
    """The work that one record asks for."""

    @property
    def account_sid(self) -> str:
        """The account, which may have only a share of the records in hand."""
        ...

    @property
    def wait_s(self) -> float:
        """Seconds until it may begin; negative if it might have begun before."""
        ...

    @property
    def begun(self) -> bool:
        """Whether it is too late to drop it without a trace."""
        ...

    @property
    def is_made(self) -> bool:
        """Whether it succeeded, and no output shows that; known when it is done."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether to begin; if False, room comes soon, and waiting keeps the order."""
        ...

    @property
    def has_neighbours(self) -> bool:
        """Whether records of other accounts may wait behind it."""
        ...

    async def do(self) -> Sequence[Outgoing]:
        """Do it; the record is done when the returned records have been written."""
        ...

    def committed(self) -> None:
        """Know that its record is not worked again: now it counts."""
        ...

    def put_off(self) -> Sequence[Outgoing]:
        """Leave it for later when too much is in progress; returns like ``do``."""
        ...


@dataclass(slots=True)
class Head:
    """The next record of a source."""

    record: Record
    work: Work | Outgoing
    due_s: float  # monotonic
    is_put_off: bool = False

    @property
    def account_sid(self) -> str | None:
        """The record's account; None for a dead letter."""
        return None if isinstance(self.work, Outgoing) else self.work.account_sid

    @property
    def is_made(self) -> bool:
        """Whether it succeeded without an output that shows it."""
        return not (isinstance(self.work, Outgoing) or self.is_put_off) and self.work.is_made

    @property
    def has_room(self) -> bool:
        """Whether it can begin without waiting."""
        return isinstance(self.work, Outgoing) or self.work.has_room

    @property
    def is_in_the_way(self) -> bool:
        """Whether other records have waited too long for it to find room."""
        if isinstance(self.work, Outgoing) or not self.work.has_neighbours:
            return False
        age_s = (clocks.now_ms() - self.record.timestamp) / 1000
        return min(age_s, time.monotonic() - self.due_s) > _PATIENCE_S

    @property
    def may_be_dropped(self) -> bool:
        """Whether it is in progress, but dropping it would leave no trace."""
        return not (isinstance(self.work, Outgoing) or self.is_put_off or self.work.begun)


class Source:
    """One topic's partition: fetched records, and the progress."""

    def __init__(self, offsets: Offsets) -> None:
        self.offsets = offsets
        self.made: list[int] = []  # offsets of works that leave a trace, not committed yet
        self.done: list[Work] = []  # not committed yet
        self.fetched: deque[tuple[Record, Work | Outgoing | None]] = deque()
        self.head: Head | None = None

    @property
    def is_empty(self) -> bool:
        """Whether all fetched records have begun."""
        return self.head is None and not self.fetched

    @property
    def wait_s(self) -> float:
        """Seconds until the next record is due."""
        return max(0.0, self.head.due_s - time.monotonic()) if self.head else 0.0

    @property
    def is_ready(self) -> bool:
        """Whether the next record should begin, or be put off."""
        if self.head is None or self.wait_s > 0:
            return False
        return self.head.has_room or self.head.is_in_the_way

    def advance(self) -> None:
        """Put the next fetched record at the head; records without work are done."""
        while self.head is None and self.fetched:
            record, work = self.fetched.popleft()
            if not self.offsets.begin(record.offset):
                continue  # done before a restart
            if work is None:
                self.offsets.finish(record.offset)
                continue
            # Not when it was fetched, as the clock may have been stepped since then.
            wait_s = -math.inf if isinstance(work, Outgoing) else work.wait_s
            self.head = Head(record, work, time.monotonic() + wait_s)

    def take(self) -> Head:
        """Take the next record, to begin it now."""
        head, self.head = self.head, None
        assert head is not None
        return head

    def are_committed(self, made: int, done: int) -> None:
        """The first so many are committed, with their traces: they are not worked again."""
        del self.made[:made]
        for work in self.done[:done]:
            work.committed()
        del self.done[:done]

    def drop(self) -> None:
        """Forget records that have not begun; they will be read again."""
        self.head = None
        self.fetched.clear()
