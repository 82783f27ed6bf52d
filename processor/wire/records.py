"""The record as every reader sees it, and the port for the records that stages write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeGuard

Header = tuple[str, bytes | None]
Headers = Sequence[Header]
Texts = tuple[bytes, ...]
Parts = tuple[bytes | int, ...]
"""A value with holes, cut at them: bytes, and for each hole the number of the text that fills it.
"""


Laid: TypeAlias = tuple[bytes | int | Parts, ...]
"""A record with holes as it lies in a batch; a value that has holes comes behind its length."""


class FormRecord(NamedTuple):
    """A record with holes."""

    key: Parts
    value: Parts
    headers: tuple[tuple[str, Parts], ...]
    laid: Laid  # the same, see ``kafka.copying.laid_out``


Row: TypeAlias = tuple[FormRecord, Texts]


class Located(Protocol):
    """A place in a topic."""

    @property
    def topic(self) -> str:
        """Full name."""
        ...

    @property
    def partition(self) -> int:
        """From 0."""
        ...

    @property
    def offset(self) -> int:
        """In the partition."""
        ...


class Record(Located, Protocol):
    """A record as it was read, or the substitute for unreadable records."""

    @property
    def timestamp(self) -> int:
        """When it was appended or written, ms UTC."""
        ...

    @property
    def key(self) -> Any:
        """Bytes, or None."""
        ...

    @property
    def value(self) -> Any:  # the type depends on the topic
        """Bytes; None: a tombstone."""
        ...

    @property
    def headers(self) -> Headers:
        """In the order of the writer; several may share a name."""
        ...


class Unread(Record, Protocol):
    """The substitute for unreadable records; see ``kafka.fetched.UnreadBatch``."""

    @property
    def first_offset(self) -> int:
        """Of the first of them."""
        ...

    @property
    def size(self) -> int:
        """Bytes of the whole batch."""
        ...

    @property
    def sha256(self) -> str:
        """Of the whole batch."""
        ...

    @property
    def begins(self) -> bytes:
        """How the value begins, where it is one record."""
        ...


def is_unread(record: Record) -> TypeGuard[Unread]:
    """Whether it is the substitute for unreadable records."""
    return hasattr(record, "sha256")


class Output(Protocol):
    """Where a stage puts the records it emits for one batch."""

    counts: Counter[str]  # by what ``LaneMetrics.batch`` knows

    def put(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: list[Header] | None = None,
        partition: int | None = None,
    ) -> None:
        """Add a record to a topic; to this lane's partition if none is named."""
        ...

    def fill(self, topic: str, rows: list[Row]) -> None:
        """Add records with holes to a topic, in this lane's partition.

        Args:
            topic: full name.
            rows: in order.
        """
        ...

    def copy(self, topic: str, records: Sequence[Record], headers: list[Header]) -> None:
        """Add keys and values of records to a topic, in this lane's partition.

        Args:
            topic: full name.
            records: in order.
            headers: of each copy, and ``source_of`` the record behind them; not the record's own.
        """
        ...

    def clear(self) -> None:
        """Forget all records, to begin again."""
        ...
