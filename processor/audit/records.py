"""Records of the topics as an audit keeps them: small, without bodies, read by its own code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Any, NamedTuple

import orjson
from aiokafka.partitioner import murmur2

from processor.kafka.fetched import UnreadBatch

INBOUND = "inbound-messages.v1"
OUTBOUND = "outbound-messages.v1"
COMMANDS = "consent-commands.v1"
REPLIES = "reply-sends.v1"
CHANGES = "block-changes.v1"
LIST = "block-list.v1"
NOTIFICATIONS = "opt-out-notifications.v1"
ALLOWED = "allowed-sends.v1"
STATUSES = "message-statuses.v1"
LETTERS = "dead-letters.v1"
SERVICES = "messaging-services.v1"

_LETTER_HEADER = "__connect.errors."
_MOVED_HEADER = "moved-from"
_FIRST_HEADER = "optout.first-append"
# In Redis; a capital letter where a command made the block.
_SCOPES = {"a": "account", "m": "service", "s": "sender", "c": "sender"}

_RESERVED = frozenset({"stop", "start", "unstop", "help"})

Headers = Iterable[tuple[str, bytes]]


class Mark(NamedTuple):
    """Which write to the partition's list; later ones compare greater."""

    epoch: int
    counter: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.counter}"


class Place(NamedTuple):
    """Where a block stands; ``target`` is the service, the sender, or empty for an account."""

    account: str
    scope: str
    target: str
    carrier: bool


class Block(NamedTuple):
    """A block that stands."""

    place: Place
    since_ms: int
    change_id: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Record:
    """What every record has; ``key`` is the recipient's list key, never to be printed."""

    id: str  # message sid, or id of the command or change
    offset: int
    at_ms: int  # the record's timestamp
    key: str


@dataclass(frozen=True, slots=True)
class Message(Record):
    """An inbound message."""

    said: int  # hash of account, addresses and body
    is_reserved: bool  # a bare word, to a number, that every configuration matches (R7)


@dataclass(frozen=True, slots=True)
class Command(Record):
    """An operator's or application's change."""

    place: Place
    blocked: bool
    said_ms: int  # when it, or the record it was made of again, was appended


@dataclass(frozen=True, slots=True)
class Notification(Record):
    """A match, and what it did."""

    account: str
    service: str | None
    sender: str
    kind: str
    effective: bool
    reply_sent: str
    said: int


@dataclass(frozen=True, slots=True)
class Reply(Record):
    """A confirmation; its id is the message's it answers."""

    sender: str
    kind: str


@dataclass(frozen=True, slots=True)
class Change(Record):
    """A flip of one place of the list."""

    place: Place
    blocked: bool
    previous: bool
    since_ms: int
    mark: Mark
    cause: str
    kind: str | None  # of the cause; None for a command
    moved: bool = False  # copied from other topics, where its cause is


@dataclass(frozen=True, slots=True)
class Send(Record):
    """An outbound message."""

    value: int  # hash of its bytes
    after: Mark | None  # of the confirmation its writer had seen: header `after-mark`


class Named(NamedTuple):
    """The block a refusal names."""

    scope: str
    change_id: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Verdict(Record):
    """What the gate said of a send."""

    account: str
    service: str | None  # as the send names it
    sender: str | None
    value: int | None  # hash of an allowed send's bytes
    mark: Mark | None
    after: Mark | None
    refused_by: Named | None

    @property
    def topic(self) -> str:
        """Where it stands."""
        return STATUSES if self.refused_by else ALLOWED


@dataclass(slots=True)
class Partition:
    """All records of one partition, each topic in order.

    ``settled`` are the ends of the output topics up to which records are checked; those behind only
    complete the transactions before. ``first_ms`` is when the first record that is left was
    written, for topics whose beginning was deleted (infinite where none is left).
    """

    number: int
    of: int = 1  # partitions there are
    messages: list[Message] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    notified: set[str] = field(default_factory=set)  # ids of messages that have a notification
    replies: list[Reply] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    entries: dict[str, tuple[int, tuple[Block, ...]]] = field(default_factory=dict)  # offset first
    touched: set[str] = field(default_factory=set)  # list keys written behind the settled end
    letters: set[tuple[str, int]] = field(default_factory=set)  # topic and offset
    unreadable: list[tuple[str, int, int]] = field(default_factory=list)  # topic, offset, at_ms
    committed: Mapping[str, int] = field(default_factory=dict)  # source topic to the group's offset
    settled: Mapping[str, int] = field(default_factory=dict)
    first_ms: dict[str, float] = field(default_factory=dict)
    since_ms: int | None = None
    until_ms: int | None = None

    def where(self, topic: str, record: Record) -> str:
        """A record's place and id, as violations name it."""
        return f"{topic}[{self.number}]@{record.offset} {record.id}"

    def is_checked(self, topic: str, offset: int, at_ms: int) -> bool:
        """Whether a record is in the range, and settled."""
        return (
            offset < self.settled.get(topic, offset + 1)
            and (self.since_ms is None or at_ms >= self.since_ms)
            and (self.until_ms is None or at_ms <= self.until_ms)
        )

    def has_beginning(self, topic: str) -> bool:
        """Whether a record that is not there never was."""
        return self.since_ms is None and topic not in self.first_ms

    def has_all_after(self, topic: str, at_ms: int) -> bool:
        """Whether everything a record of this time led to can still be read."""
        return at_ms > self.first_ms.get(topic, float("-inf"))


class Unreadable(Exception):
    """A value that is not what its topic holds."""


def fields_of(value: bytes | None) -> Mapping[str, Any]:
    """The fields of a JSON object.

    Raises:
        Unreadable: where it is none.
    """
    try:
        fields = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        raise Unreadable from None
    if not isinstance(fields, dict):
        raise Unreadable
    return fields


@lru_cache(4_096)  # many records share one, and then its memory
def mark_of(text: str) -> Mark:
    """A mark from its text, `epoch-counter`."""
    epoch, _, counter = text.partition("-")
    return Mark(int(epoch), int(counter))


def _header(headers: Headers, name: str) -> bytes | None:
    found = [value for key, value in headers if key == name]
    return found[-1] if found else None


def _header_mark(headers: Headers, name: str) -> Mark | None:
    value = _header(headers, name)
    return mark_of(value.decode()) if value else None


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _first_ms(record: Any) -> int:
    first = _header(record.headers, _FIRST_HEADER) or b""
    return min(int(first), record.timestamp) if first.isdigit() else int(record.timestamp)


def _is_elsewhere(partition: Partition, record: Any, key: str) -> bool:
    """Whether a record was sent on, as it is not where its recipient's others are."""
    number = key.removeprefix("whatsapp:").encode()
    place = (murmur2(number) & 0x7FFFFFFF) % partition.of
    return bool(record.key != number or place != partition.number)


def _key(address: str) -> str:
    """WhatsApp has a list of its own, all else shares the bare number's (R21)."""
    number = address.rpartition(":")[2]
    return f"whatsapp:{number}" if address.startswith("whatsapp:") else number


def _group_key(fields: Mapping[str, Any]) -> str:
    group = "whatsapp:" if fields.get("channel_group") == "whatsapp" else ""
    return f"{group}{fields['recipient']}"


def _place(fields: Mapping[str, Any]) -> Place:
    target = {
        "account": "",
        "service": fields.get("messaging_service_sid"),
        "sender": fields.get("sender"),
    }[fields["scope"]]
    return Place(
        intern(fields["account_sid"]),
        intern(fields["scope"]),
        intern(target or ""),
        bool(fields.get("carrier", False)),
    )


def _said(fields: Mapping[str, Any]) -> int:
    return hash((fields["account_sid"], fields["from"], fields["to"], fields["body"]))


def _message(record: Any, fields: Mapping[str, Any]) -> Message:
    return Message(
        fields["message_sid"],
        record.offset,
        record.timestamp,
        _key(fields["from"]),
        _said(fields),
        fields["to"].startswith(("+", "rcs:")) and fields["body"].strip().lower() in _RESERVED,
    )


def _command(record: Any, fields: Mapping[str, Any]) -> Command:
    return Command(
        fields["command_id"],
        record.offset,
        record.timestamp,
        _group_key(fields),
        _place({**fields, "carrier": False}),
        fields["blocked"],
        _first_ms(record),
    )


def _send(record: Any, fields: Mapping[str, Any]) -> Send:
    return Send(
        fields["message_sid"],
        record.offset,
        record.timestamp,
        _key(fields["to"]),
        hash(record.value),
        _header_mark(record.headers, "after-mark"),
    )


def _notification(record: Any, fields: Mapping[str, Any]) -> Notification:
    return Notification(
        fields["message_sid"],
        record.offset,
        record.timestamp,
        _key(fields["from"]),
        intern(fields["account_sid"]),
        _shared(fields["messaging_service_sid"]),
        intern(fields["to"]),
        intern(fields["kind"]),
        fields["effective"],
        fields["reply_sent"],
        _said(fields),
    )


def _reply(record: Any, fields: Mapping[str, Any]) -> Reply:
    return Reply(
        fields["in_reply_to"],
        record.offset,
        record.timestamp,
        _key(fields["to"]),
        fields["from"],
        fields["kind"],
    )


def _change(record: Any, fields: Mapping[str, Any]) -> Change:
    return Change(
        fields["change_id"],
        record.offset,
        record.timestamp,
        _group_key(fields),
        _place(fields),
        fields["blocked"],
        fields["previous"],
        _ms(fields["at"]),
        mark_of(fields["mark"]),
        fields["cause"]["id"],
        fields["cause"]["kind"],
        _header(record.headers, _MOVED_HEADER) is not None,
    )


def _shared(text: str | None) -> str | None:
    """The same text, in memory once: millions of records name few accounts and senders."""
    return None if text is None else intern(text)


def _verdict(record: Any, fields: Mapping[str, Any], refused_by: Named | None = None) -> Verdict:
    return Verdict(
        fields["message_sid"],
        record.offset,
        record.timestamp,
        _key(fields["to"]),
        intern(fields["account_sid"]),
        _shared(fields.get("messaging_service_sid")),
        _shared(fields.get("from")),
        None if refused_by else hash(record.value),
        _header_mark(record.headers, "mark"),
        _header_mark(record.headers, "after-mark"),
        refused_by,
    )


def _add_status(partition: Partition, record: Any, fields: Mapping[str, Any]) -> None:
    block = fields.get("block")
    # Carriers write here too; only the gate names a block.
    if (fields["status"], fields.get("error_code")) == ("failed", 21610) and block:
        named = Named(block["scope"], block["change_id"], mark_of(block["mark"]))
        partition.verdicts.append(_verdict(record, fields, named))


def _add_entry(partition: Partition, record: Any, settled: bool) -> None:
    key = record.key.decode()
    partition.entries.pop(key, None)
    blocks: Sequence[Any] = fields_of(record.value)["blocks"] if record.value else ()
    if blocks:
        partition.entries[key] = (record.offset, tuple(map(_standing, blocks)))
    if not settled:
        partition.touched.add(key)


def _standing(fields: Mapping[str, Any]) -> Block:
    return Block(_place(fields), _ms(fields["since"]), fields["change_id"], mark_of(fields["mark"]))


def packed_blocks(value: bytes) -> tuple[Block, ...]:
    """The blocks of a recipient's field in Redis."""
    return tuple(
        Block(
            Place(account, _SCOPES[letter.lower()], target, letter == "c"),
            since,
            change,
            mark_of(mark),
        )
        for letter, account, target, since, change, mark in orjson.loads(value)
    )


def add(partition: Partition, topic: str, record: Any) -> None:
    """Take a record of Kafka in; one that cannot be read is remembered as such.

    Args:
        partition: taken into.
        topic: without the prefix.
        record: with offset, timestamp in ms, key, value and headers.
    """
    try:
        _add(partition, topic, record)
    except (Unreadable, KeyError, TypeError, ValueError, AttributeError):
        partition.unreadable.append((topic, record.offset, record.timestamp))


def _add(partition: Partition, topic: str, record: Any) -> None:
    if isinstance(record, UnreadBatch):
        raise Unreadable(record.why)
    if topic == LETTERS:
        source = _header(record.headers, f"{_LETTER_HEADER}topic") or b""
        offset = _header(record.headers, f"{_LETTER_HEADER}offset") or b"-1"
        partition.letters.add((source.decode(), int(offset)))
        return
    settled = record.offset < partition.settled.get(topic, record.offset + 1)
    if topic == LIST:
        _add_entry(partition, record, settled)
        return
    fields = fields_of(record.value)
    if topic == INBOUND:
        message = _message(record, fields)
        if _is_elsewhere(partition, record, message.key):
            return
        # Notifications are read before: a message that has none, and needs none, is left out.
        if message.is_reserved or message.id in partition.notified:
            partition.messages.append(message)
    elif topic == OUTBOUND:
        send = _send(record, fields)
        if not _is_elsewhere(partition, record, send.key):
            partition.sends.append(send)
    elif topic == COMMANDS:
        command = _command(record, fields)
        if not _is_elsewhere(partition, record, command.key):
            partition.commands.append(command)
    elif topic == NOTIFICATIONS:
        partition.notifications.append(_notification(record, fields))
        partition.notified.add(fields["message_sid"])
    elif topic == REPLIES:
        partition.replies.append(_reply(record, fields))
    elif topic == ALLOWED:
        partition.verdicts.append(_verdict(record, fields))
    elif topic == STATUSES:
        _add_status(partition, record, fields)
    elif topic == CHANGES:
        change = _change(record, fields)
        partition.changes.append(change)
        if change.moved:
            partition.notified.add(change.cause)  # before, in the topics it came from
        if not settled:
            partition.touched.add(change.key)
