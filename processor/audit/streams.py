"""A topic's partition, record by record: the next record can be looked at before it is taken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from processor.audit.parsing import KafkaRecord
from processor.audit.values import Unreadable


class HasOffset(Protocol):
    """A parsed record."""

    @property
    def offset(self) -> int:
        """Of the record."""
        ...


class Counted(Protocol):
    """Any stream, as far as its progress goes."""

    next: int  # offset from which a later run goes on
    count: int  # records read


_T = TypeVar("_T", bound=HasOffset)

Fill = Callable[[], Awaitable[Sequence[KafkaRecord]]]
"""Returns the next records; none at the end."""


class Stream(Generic[_T]):
    """Records of one partition in their order.

    Args:
        fill: gets the next records.
        parse: reads a record; None leaves it out.
        begin: offset of the first record.
        unreadable: called with each record that cannot be parsed.
    """

    def __init__(
        self,
        fill: Fill,
        parse: Callable[[KafkaRecord], _T | None],
        *,
        begin: int = 0,
        unreadable: Callable[[KafkaRecord], None] = lambda record: None,
    ) -> None:
        self._fill, self._parse, self._unreadable = fill, parse, unreadable
        self._records: Sequence[KafkaRecord] = ()
        self._at = 0
        self._head: _T | None = None
        self._is_at_end = False
        self.next = begin  # offset from which a later run goes on
        self.count = 0  # records read

    async def look(self) -> _T | None:
        """Return the next record and leave it there; None at the end."""
        while self._head is None:
            if self._at == len(self._records):
                if self._is_at_end:
                    return None
                self._records, self._at = await self._fill(), 0
                self._is_at_end = not self._records
                continue
            record = self._records[self._at]
            self._at += 1
            self.count += 1
            try:
                self._head = self._parse(record)
            except Unreadable:
                self._unreadable(record)
            self.next = record.offset + (self._head is None)
        return self._head

    def take(self) -> _T:
        """Take the record that was looked at."""
        head = self._head
        assert head is not None, "look first"
        self._head = None
        self.next = head.offset + 1
        return head
