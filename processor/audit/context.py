"""The shared parts of the checks of a partition."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from processor.audit.history import Histories
from processor.audit.report import Findings, Kind
from processor.audit.services import Accounts, Services
from processor.audit.state import PartitionState
from processor.audit.values import INBOUND, Mark, Ref, digest
from processor.kafka.partition_facts import aiokafkas_partition_of

ANYWHERE = -1  # a partition that is not known
_SURE_TO_FORGET = 1.5  # of the time for which ids are remembered: they go in quarters of it


class Located(Protocol):
    """A record, for a violation."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def at_ms(self) -> int: ...  # noqa: D102


class Placed(Located, Protocol):
    """A record of a source, which may be in another partition than its recipient's."""

    @property
    def number(self) -> str: ...  # noqa: D102
    @property
    def fits_key(self) -> bool: ...  # noqa: D102
    @property
    def sent_on(self) -> str | None: ...  # noqa: D102


class GoingOn(Located, Protocol):
    """A record that may be decided on in the lane of its person's other address."""

    @property
    def other(self) -> str | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Range:
    """Which records of the sources are checked, by topic."""

    floor: Mapping[str, int]  # the outcome of earlier records is not checked
    start: Mapping[str, int]  # offset of the first of this run
    end: Mapping[str, int]  # behind the last: the group committed it
    handled_since_ms: float = float("-inf")  # from then on, all notifications are known


@dataclass(slots=True)
class Context:
    """The shared parts of one partition's checks.

    ``forwarded`` has the places of misplaced records that had to be sent on, ``arrived`` those that
    the records of this partition came from.
    """

    number: int
    of: int  # partitions there are
    state: PartitionState
    histories: Histories
    services: Services
    accounts: Accounts
    range: Range
    findings: Findings
    letters: Mapping[str, Set[int]]  # topic to the offsets of records that were put aside
    skew_ms: int = 1_000
    dedupe_ms: int = 86_400_000
    has_whole_history: bool = True  # no change was deleted
    next_change: tuple[Mark, int] | None = None  # mark and time of the change that is applied next
    last_ms: int = 0  # time of the last batch
    until_ms: float = float("inf")  # carriers' statuses after it are left to the next audit
    forwarded: dict[str, int] = field(default_factory=dict)  # place to the partition it goes to
    arrived: dict[str, int] = field(default_factory=dict)  # place to how often

    def where(self, topic: str, record: Located) -> str:
        """Name a record by place and id, for violations."""
        return f"{topic}[{self.number}]@{record.offset} {record.id}"

    def found(self, kind: Kind, topic: str, record: Located, what: str) -> None:
        """Add a violation."""
        self.findings.add(kind, self.where(topic, record), what, record.at_ms)

    def is_put_aside(self, topic: str, offset: int) -> bool:
        """Whether a record is among the dead letters."""
        return offset in self.letters.get(topic, ())

    @property
    def has_unread_messages(self) -> bool:
        """Whether a STOP may have become a dead letter."""
        return bool(self.letters.get(INBOUND))

    def is_here(self, record: Placed) -> bool:
        """Whether a record is in its recipient's partition."""
        return record.fits_key and partition_of(record.number, self.of) == self.number

    def forward(self, topic: str, record: Placed) -> None:
        """Expect that a misplaced record was sent on, or put aside if it came so already."""
        if record.sent_on is None:
            place = f"{topic}[{self.number}]@{record.offset}"
            self.forwarded[place] = partition_of(record.number, self.of)
        elif not self.is_put_aside(topic, record.offset):
            self.found("lost", topic, record, "is misplaced, and was neither sent on nor put aside")

    def go_on(self, topic: str, record: GoingOn) -> None:
        """Expect that a record was sent on to the lane of its person's other address (R32)."""
        place = f"{topic}[{self.number}]@{record.offset}"
        self.forwarded[place] = partition_of(record.other, self.of) if record.other else ANYWHERE

    def arrive(self, record: Placed) -> None:
        """Note where a record came from."""
        if record.sent_on is not None:
            self.arrived[record.sent_on] = self.arrived.get(record.sent_on, 0) + 1

    def handled(self, ref: Ref, at_ms: int) -> bool | None:
        """Whether a message or command was handled before; None where that cannot be known."""
        seen = self.state.seen(digest(*ref))
        if seen is not None:
            return at_ms - seen.at_ms < _SURE_TO_FORGET * self.dedupe_ms
        since_ms = at_ms - _SURE_TO_FORGET * self.dedupe_ms
        return None if since_ms < self.range.handled_since_ms else False

    def handle(self, ref: Ref, at_ms: int) -> bool:
        """Note that a message or command is handled; return whether it was, surely, before."""
        id_ = digest(*ref)
        seen = self.state.seen(id_)
        self.state.see(id_, at_ms)
        return seen is not None and at_ms - seen.at_ms < self.dedupe_ms


@lru_cache(2_048)
def partition_of(number: str, partitions: int) -> int:
    """Find a recipient's partition."""
    return aiokafkas_partition_of(number.encode(), partitions)
