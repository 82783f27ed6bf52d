"""The values an audit keeps of the topics' records: small, without bodies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple, TypeAlias

INBOUND = "inbound-messages.v1"
OUTBOUND = "outbound-messages.v1"
COMMANDS = "consent-commands.v1"
REPLIES = "reply-sends.v1"
CHANGES = "block-changes.v1"
LIST = "block-list.v2"
NOTIFICATIONS = "opt-out-notifications.v1"
SUSPECTED = "suspected-opt-outs.v1"
DELIVERIES = "webhook-deliveries.v1"
ALLOWED = "allowed-sends.v1"
STATUSES = "message-statuses.v1"
LETTERS = "dead-letters.v1"
SERVICES = "messaging-services.v1"
CONFIGURATION = "configuration-changes.v1"

HAND_OVERS = "hand-overs"  # carriers' part of message-statuses, read in an order of its own

SOURCES = {INBOUND: "match", COMMANDS: "match", OUTBOUND: "gate"}  # topic to its reader's role
RETRIES = tuple(f"webhook-retries-{number}.v1" for number in range(1, 5))
MADE = "webhooks-made.v1"
DUE = (DELIVERIES, *RETRIES, STATUSES)  # topics whose records ask for requests
OUTPUTS = (NOTIFICATIONS, REPLIES, SUSPECTED, DELIVERIES, CHANGES, LIST, ALLOWED, STATUSES)


class Mark(NamedTuple):
    """The version of a partition's list; later marks compare greater."""

    epoch: int
    counter: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.counter}"


NO_MARK = Mark(0, 0)


class Place(NamedTuple):
    """The place of a block; ``target`` is the service, the sender, or empty for an account."""

    scope: str
    target: str
    carrier: bool


ACCOUNT = Place("account", "", False)


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
    asked_ms: int = 0  # when a STOP last asked for it, as far as is known


State: TypeAlias = Mapping[Place, Block]
"""The blocks of an entry, by their place."""


Marks: TypeAlias = tuple[tuple[int, Mark], ...]
"""Partitions with the marks of their lists."""


class Entry(NamedTuple):
    """A record of the list."""

    key: str
    offset: int
    at_ms: int
    mark: Mark
    blocks: tuple[Block, ...]
    lasts: tuple[tuple[Place, str, int], ...]  # last time of each kind of cause
    link: str | None = None  # of a user id: its person's number (R32)
    ids: tuple[str, ...] = ()  # of a number: user ids whose blocks are merged into it


Ref: TypeAlias = tuple[str, ...]
"""The identity of a message or a command, including its account."""


def digest(*parts: str) -> bytes:
    """16 bytes that name a recipient, a message or an id without showing it."""
    return blake2b("\0".join(parts).encode(), digest_size=16).digest()


def canonical(blocks: Iterable[Block], lasts: Iterable[tuple[Place, str, int]]) -> bytes:
    """8 bytes that two equal entries share, in whatever order their blocks are."""
    said = sorted(
        (
            *block.place,
            str(block.mark),
            sorted(block.standing.sources),
            sorted(block.standing.only or ()),
            block.standing.only is None,
            sorted(block.standing.but),
            block.standing.locked,
        )
        for block in blocks
    )
    return blake2b(repr((said, sorted(lasts))).encode(), digest_size=8).digest()


@dataclass(frozen=True, slots=True)
class Caused:
    """The fields of every output that name its cause; never print ``key`` and ``ref``."""

    id: str  # message sid, or id of the change
    ref: Ref  # of the cause
    offset: int
    at_ms: int  # the record's timestamp
    key: str  # the account, /, the recipient's list key
    mark: Mark | None
    source: int | None  # offset of the record that caused it
    config: int  # how far the services were read when it was decided


class Way(NamedTuple):
    """How a record came to its lane from that of its person's other address (R32)."""

    step: str
    id: str
    number: str
    blocks: tuple[Block, ...]  # of the other address

    @property
    def at(self) -> str:
        """The subscriber whose lane it was sent to."""
        return self.id if self.step == "ask" else self.number


@dataclass(frozen=True, slots=True)
class Message:
    """An inbound message."""

    id: str
    ref: Ref
    offset: int
    at_ms: int
    key: str
    account: str
    service: str | None  # that it names
    sender: str  # our address
    number: str  # subscriber key of the entry that decides on it (R32)
    writer: str  # subscriber key of the address that wrote it
    body: str
    country: str | None  # that the carrier reported
    said: int  # hash of account, addresses and body
    said_ms: int  # when it was sent, if that is known to be earlier than ``at_ms``
    first_ms: int  # when it, or the record that it repeats, was appended
    fits_key: bool  # its key is its recipient's
    sent_on: str | None  # the place that it was sent on from
    carrier_replied: bool = False  # its carrier answered it
    way: Way | None = None  # between a person's two addresses
    other: str | None = None  # it may go on to this subscriber's lane; empty: an unknown number's


@dataclass(frozen=True, slots=True)
class Command:
    """An operator's or application's change."""

    id: str
    ref: Ref
    offset: int
    at_ms: int
    key: str
    place: Place
    blocked: bool
    said_ms: int  # when it, or the record it repeats, was appended
    kind: str  # of the source that it adds or removes
    has_reason: bool
    number: str
    fits_key: bool
    sent_on: str | None
    about: str | None = None  # "link" or "move": it is about a person's addresses
    way: Way | None = None
    other: str | None = None  # as of a message


class Suspicion(NamedTuple):
    """How a text that is not a keyword was read, and its service's policy (R30)."""

    tier: str
    score: float
    reasons: tuple[str, ...]
    policy: str


@dataclass(frozen=True, slots=True)
class Notification(Caused):
    """A match, and what it did."""

    account: str
    service: str | None
    sender: str
    kind: str
    keyword: str
    language: str | None
    country: str | None
    tier: str
    aoo: bool
    opt_out_type: str | None
    version: int | None  # of the service's configuration
    effective: bool
    reply_sent: str
    braked: bool
    said: int
    suspicion: Suspicion | None = None  # of a text that only means the keyword


@dataclass(frozen=True, slots=True)
class Reply(Caused):
    """A confirmation; its id is that of the message it answers."""

    sid: str
    sender: str
    kind: str
    language: str | None
    body: str
    send_before_ms: int
    late_reply: str


@dataclass(frozen=True, slots=True)
class Report(Caused):
    """A text that asks for an end in other words (R30)."""

    service: str | None
    suspicion: Suspicion
    overdue: str
    due_ms: int | None  # None: its policy has blocked
    aoo: bool
    version: int | None
    said: int
    moved: bool = False  # copied from other topics, which have its cause


@dataclass(frozen=True, slots=True)
class Delivery(Caused):
    """A request to an application that is due."""

    url: str
    opt_out_type: str | None


class Try(NamedTuple):
    """The next try of a request that failed."""

    offset: int
    at_ms: int
    before: tuple[str, int, int] | None  # the try before: topic, partition, offset
    id: bytes  # digests of the message and of the delivery


class Made(NamedTuple):
    """Requests that were answered."""

    offset: int
    runs: tuple[tuple[str, int, int], ...]  # topic, first offset, behind the last


@dataclass(frozen=True, slots=True)
class Change(Caused):
    """The new block at a place of an entry; ``ref`` is that of its cause."""

    place: Place
    standing: Standing | None
    previous: bool
    since_ms: int  # when its cause was appended
    cause: str  # id of the cause
    kind: str | None  # of the cause; None for a command
    kind_of_source: str
    moved: bool = False  # copied from other topics, which have its cause

    @property
    def is_by_message(self) -> bool:
        """Whether its cause is in inbound-messages."""
        is_join = self.kind_of_source == "link" and self.ref[0] == "message"
        return self.kind is not None or self.kind_of_source == "unread-stop" or is_join


@dataclass(frozen=True, slots=True)
class Send:
    """An outbound message."""

    id: str
    ref: Ref
    offset: int
    at_ms: int
    key: str
    account: str
    service: str | None  # that it names
    sender: str | None
    number: str
    value: bytes
    after: Mark | None  # mark of the last confirmation its writer had seen: header `after-mark`
    fits_key: bool
    sent_on: str | None


class Named(NamedTuple):
    """The block a refusal names."""

    scope: str
    change_id: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's verdict on a send, without the send's own fields."""

    topic: str
    offset: int
    at_ms: int
    mark: Mark | None
    source: int | None  # offset of the send
    config: int | None  # None: it saw no block, so no configuration mattered
    service: str | None  # that it was judged by
    value: bytes  # of the record
    refused_by: Named | None = None
    ref: Ref | None = None  # of the send, as a status names it
    except_from: frozenset[str] = frozenset()  # senders that a later choice must leave out
    suspended: bool = False  # it failed because its account was suspended
    linked: Marks = ()  # of the other lists that its batch was judged by (R32)


@dataclass(frozen=True, slots=True)
class HandOver:
    """A carrier's status; it says what the carrier was handed, or why it was not."""

    id: str  # the sid of the send or of the reply
    offset: int
    at_ms: int
    key: str
    account: str
    service: str | None  # that the send names
    sender: str | None
    kind: str  # a send, or the kind of keyword that it replies to
    status: str
    looked_ms: int | None  # when the list was read just before; None: no carrier was asked
    mark: Mark | None
    config: int | None  # None: it saw no block, so no configuration mattered
    judged_service: str | None
    refused_by: Named | None
    linked: Marks  # of the other lists that it was judged by (R32)


class Unreadable(Exception):
    """A value that does not fit its topic."""
