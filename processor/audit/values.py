"""The values an audit keeps of the topics' records: small, without bodies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

INBOUND = "inbound-messages.v1"
OUTBOUND = "outbound-messages.v1"
COMMANDS = "consent-commands.v1"
REPLIES = "reply-sends.v1"
CHANGES = "block-changes.v1"
LIST = "block-list.v2"
NOTIFICATIONS = "opt-out-notifications.v1"
ALLOWED = "allowed-sends.v1"
STATUSES = "message-statuses.v1"
LETTERS = "dead-letters.v1"
SERVICES = "messaging-services.v1"
CONFIGURATION = "configuration-changes.v1"


class Mark(NamedTuple):
    """The version of a partition's list; later marks compare greater."""

    epoch: int
    counter: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.counter}"


class Place(NamedTuple):
    """The place of a block; ``target`` is the service, the sender, or empty for an account."""

    scope: str
    target: str
    carrier: bool


class Source(NamedTuple):
    """A cause of a block; a block has at most one cause of each kind."""

    kind: str
    change_id: str
    since_ms: int


class Standing(NamedTuple):
    """The block in a place."""

    sources: frozenset[Source]
    only: frozenset[str] | None  # intents that it stops; None for all
    but: frozenset[str]
    locked: bool

    @property
    def first(self) -> Source:
        """The cause that a refusal names."""
        return min(self.sources, key=lambda one: (one.since_ms, one.change_id, one.kind))


class Block(NamedTuple):
    """A block in force."""

    place: Place
    standing: Standing
    mark: Mark
    lasts: frozenset[tuple[str, int]] = frozenset()  # last time of each kind of cause, if known


Ref = tuple[str, ...]
"""The identity of a message or a command, including its account."""


@dataclass(frozen=True, slots=True)
class Record:
    """Fields of every record; never print ``key`` and ``ref``, as they name a recipient."""

    id: str  # message sid, or id of the command or change
    ref: Ref
    offset: int
    at_ms: int  # the record's timestamp
    key: str  # the account, /, the recipient's list key


@dataclass(frozen=True, slots=True)
class Message(Record):
    """An inbound message."""

    said: int  # hash of account, addresses and body
    said_ms: int  # when it was sent, if that is known to be earlier than ``at_ms``
    is_reserved: bool  # a bare word, to a number, that every configuration matches (R7)


@dataclass(frozen=True, slots=True)
class Command(Record):
    """An operator's or application's change."""

    place: Place
    blocked: bool
    said_ms: int  # when it, or the record it repeats, was appended
    kind: str  # of the source that it adds or removes
    has_reason: bool


@dataclass(frozen=True, slots=True)
class Notification(Record):
    """A match, and what it did."""

    account: str
    service: str | None
    sender: str
    kind: str
    keyword: str
    effective: bool
    reply_sent: str
    said: int


@dataclass(frozen=True, slots=True)
class Reply(Record):
    """A confirmation; its id is that of the message it answers."""

    sid: str
    sender: str
    kind: str


@dataclass(frozen=True, slots=True)
class Change(Record):
    """The new block at a place of an entry; ``ref`` is that of its cause."""

    place: Place
    standing: Standing | None
    previous: bool
    since_ms: int
    mark: Mark
    cause: str  # id of the cause
    kind: str | None  # of the cause; None for a command
    source: str  # the kind of source
    standing_is_guessed: bool  # written before blocks had several causes
    moved: bool = False  # copied from other topics, which have its cause


@dataclass(frozen=True, slots=True)
class Send(Record):
    """An outbound message."""

    value: int  # hash of its bytes
    after: Mark | None  # mark of the last confirmation its writer had seen: header `after-mark`


class Named(NamedTuple):
    """The block a refusal names."""

    scope: str
    change_id: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Verdict(Record):
    """The gate's verdict on a send."""

    account: str
    service: str | None  # the service that the send names
    sender: str | None
    value: int | None  # hash of an allowed send's bytes
    mark: Mark | None
    after: Mark | None
    refused_by: Named | None
    except_from: frozenset[str]  # senders that a later choice of sender must leave out
    suspended: bool = False  # it failed because its account was suspended

    @property
    def topic(self) -> str:
        """The topic that holds it."""
        return STATUSES if self.refused_by or self.suspended else ALLOWED


@dataclass(slots=True)
class Partition:
    """All records of one partition, each topic in order.

    ``settled`` has the ends of the output topics up to which records are checked; later records
    only complete earlier transactions. ``first_ms`` has the time of the first remaining record,
    for topics whose beginning was deleted; it is infinite if no record remains.
    """

    number: int
    of: int = 1  # partitions there are
    messages: list[Message] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    notified: set[Ref] = field(default_factory=set)  # messages that have a notification
    replies: list[Reply] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    entries: dict[str, tuple[int, tuple[Block, ...]]] = field(default_factory=dict)  # offset first
    touched: set[str] = field(default_factory=set)  # entry keys written after the settled end
    letters: set[tuple[str, int]] = field(default_factory=set)  # topic and offset
    unreadable: list[tuple[str, int, int]] = field(default_factory=list)  # topic, offset, at_ms
    committed: Mapping[str, int] = field(default_factory=dict)  # group's offset, by source topic
    settled: Mapping[str, int] = field(default_factory=dict)
    first_ms: dict[str, float] = field(default_factory=dict)
    since_ms: int | None = None
    until_ms: int | None = None

    def where(self, topic: str, record: Record) -> str:
        """Name a record by place and id, for violations."""
        return f"{topic}[{self.number}]@{record.offset} {record.id}"

    def is_checked(self, topic: str, offset: int, at_ms: int) -> bool:
        """Whether a record is in the range and settled."""
        return (
            offset < self.settled.get(topic, offset + 1)
            and (self.since_ms is None or at_ms >= self.since_ms)
            and (self.until_ms is None or at_ms <= self.until_ms)
        )

    def has_beginning(self, topic: str) -> bool:
        """Whether the topic still has its first records, so that a missing record never existed."""
        return self.since_ms is None and topic not in self.first_ms

    def has_all_after(self, topic: str, at_ms: int) -> bool:
        """Whether all records caused by a record of this time can still be read."""
        return at_ms > self.first_ms.get(topic, float("-inf"))


class Unreadable(Exception):
    """A value that does not fit its topic."""
