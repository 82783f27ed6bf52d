"""The topics' records as an audit keeps them: small, without bodies, read by its own code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
LIST = "block-list.v2"
NOTIFICATIONS = "opt-out-notifications.v1"
ALLOWED = "allowed-sends.v1"
STATUSES = "message-statuses.v1"
LETTERS = "dead-letters.v1"
SERVICES = "messaging-services.v1"
CONFIGURATION = "configuration-changes.v1"

_LETTER_HEADER = "__connect.errors."
_MOVED_HEADER = "moved-from"
_FIRST_HEADER = "optout.first-append"
_EXCEPT_FROM_HEADER = "optout.except-from"
# In Redis.
_SCOPES = {"a": "account", "m": "service", "s": "sender", "c": "sender"}
_KINDS = {
    "k": "keyword",
    "u": "unread-stop",
    "c": "command",
    "r": "review",
    "s": "signal",
    "?": "unreadable",
}

_RESERVED = frozenset({"stop", "start", "unstop", "help"})

Headers = Iterable[tuple[str, bytes]]


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
    """A block without its place."""

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
    """A match and its effect."""

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
    """The block that a refusal names."""

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
        """The topic it is in."""
        return STATUSES if self.refused_by or self.suspended else ALLOWED


@dataclass(slots=True)
class Partition:
    """All records of one partition, each topic in order.

    ``settled`` has the ends of the output topics up to which records are checked; later records
    only complete earlier transactions. ``first_ms`` has the time of the first remaining record,
    for topics whose beginning was deleted; it is infinite if no record remains.
    """

    number: int
    of: int = 1  # number of partitions
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


def fields_of(value: bytes | None) -> Mapping[str, Any]:
    """Parse the fields of a JSON object.

    Raises:
        Unreadable: it is not a JSON object.
    """
    try:
        fields = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        raise Unreadable from None
    if not isinstance(fields, dict):
        raise Unreadable
    return fields


@lru_cache(4_096)  # many records share a mark, and then its memory
def mark_of(text: str) -> Mark:
    """Parse a mark from its text, `epoch-counter`."""
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


def _said_ms(record: Any, fields: Mapping[str, Any]) -> int:
    """Use a carrier's time only if it is more than an hour earlier (R19)."""
    first_ms, received_ms = _first_ms(record), _ms(fields["received_at"])
    return received_ms if received_ms < first_ms - 3_600_000 else first_ms


def _is_elsewhere(partition: Partition, record: Any, key: str) -> bool:
    """Whether a record was sent on because it was not in its recipient's partition."""
    number = key.rpartition("/")[2].removeprefix("whatsapp:").encode()
    place = (murmur2(number) & 0x7FFFFFFF) % partition.of
    return bool(record.key != number or place != partition.number)


def _key(account: str, address: str) -> str:
    """Make an entry key: WhatsApp has its own list, other channels share the number's (R21)."""
    number = address.rpartition(":")[2]
    return (
        f"{account}/whatsapp:{number}" if address.startswith("whatsapp:") else f"{account}/{number}"
    )


def _group_key(fields: Mapping[str, Any]) -> str:
    group = "whatsapp:" if fields.get("channel_group") == "whatsapp" else ""
    return f"{fields['account_sid']}/{group}{fields['recipient']}"


def _place(fields: Mapping[str, Any]) -> Place:
    target = {
        "account": "",
        "service": fields.get("messaging_service_sid"),
        "sender": fields.get("sender"),
    }[fields["scope"]]
    return Place(intern(fields["scope"]), intern(target or ""), bool(fields.get("carrier", False)))


def _said(fields: Mapping[str, Any]) -> int:
    return hash((fields["account_sid"], fields["from"], fields["to"], fields["body"]))


def _message_ref(key: str, sid: str, sender: str) -> Ref:
    return ("message", key, sid, sender)


def _command_ref(account: str, id_: str) -> Ref:
    return ("command", account, id_)


def _source_kind(source: str) -> str:
    """Find the kind of source that a command adds."""
    return "review" if source == "review" else "command"


def _message(record: Any, fields: Mapping[str, Any]) -> Message:
    key = _key(fields["account_sid"], fields["from"])
    return Message(
        fields["message_sid"],
        _message_ref(key, fields["message_sid"], fields["to"]),
        record.offset,
        record.timestamp,
        key,
        _said(fields),
        _said_ms(record, fields),
        fields["to"].startswith(("+", "rcs:")) and fields["body"].strip().lower() in _RESERVED,
    )


def _command(record: Any, fields: Mapping[str, Any]) -> Command:
    return Command(
        fields["command_id"],
        _command_ref(fields["account_sid"], fields["command_id"]),
        record.offset,
        record.timestamp,
        _group_key(fields),
        _place({**fields, "carrier": False}),
        fields["blocked"],
        _first_ms(record),
        _source_kind(fields["source"]),
        bool((fields.get("reason") or "").strip()),
    )


def _send(record: Any, fields: Mapping[str, Any]) -> Send:
    return Send(
        fields["message_sid"],
        _send_ref(fields),
        record.offset,
        record.timestamp,
        _key(fields["account_sid"], fields["to"]),
        hash(record.value),
        _header_mark(record.headers, "after-mark"),
    )


def _send_ref(fields: Mapping[str, Any]) -> Ref:
    return (fields["account_sid"], fields["message_sid"], fields["to"], fields.get("from") or "")


def _notification(record: Any, fields: Mapping[str, Any]) -> Notification:
    key = _key(fields["account_sid"], fields["from"])
    return Notification(
        fields["message_sid"],
        _message_ref(key, fields["message_sid"], fields["to"]),
        record.offset,
        record.timestamp,
        key,
        intern(fields["account_sid"]),
        _shared(fields["messaging_service_sid"]),
        intern(fields["to"]),
        intern(fields["kind"]),
        intern(fields["keyword"]),
        fields["effective"],
        fields["reply_sent"],
        _said(fields),
    )


def _reply(record: Any, fields: Mapping[str, Any]) -> Reply:
    key = _key(fields["account_sid"], fields["to"])
    return Reply(
        fields["in_reply_to"],
        _message_ref(key, fields["in_reply_to"], fields["from"]),
        record.offset,
        record.timestamp,
        key,
        fields["reply_sid"],
        fields["from"],
        fields["kind"],
    )


def _change(record: Any, fields: Mapping[str, Any]) -> Change:
    key, cause = _group_key(fields), fields["cause"]
    if cause["kind"] is not None:
        ref = _message_ref(key, cause["id"], cause["sender"])
        source = "keyword"
    else:
        ref = _command_ref(fields["account_sid"], cause["id"])
        unread = cause["source"] == "unread-stop"
        source = "unread-stop" if unread else _source_kind(cause["source"])
    since_ms = _ms(fields["at"])
    return Change(
        fields["change_id"],
        ref,
        record.offset,
        record.timestamp,
        key,
        _place(fields),
        _changed_to(fields, source, since_ms) if fields["blocked"] else None,
        fields["previous"],
        since_ms,
        mark_of(fields["mark"]),
        cause["id"],
        cause["kind"],
        source,
        bool(fields["blocked"] and not fields.get("standing")),
        _header(record.headers, _MOVED_HEADER) is not None,
    )


def _changed_to(fields: Mapping[str, Any], source: str, since_ms: int) -> Standing:
    if fields.get("standing"):
        return _standing(fields["standing"])
    # The record was written before blocks had several causes.
    only_source = Source(source, fields["change_id"], since_ms)
    return Standing(frozenset({only_source}), None, frozenset(), False)


def _standing(fields: Mapping[str, Any]) -> Standing:
    only = fields.get("only")
    return Standing(
        frozenset(
            Source(intern(one["kind"]), one["change_id"], _ms(one["since"]))
            for one in fields["sources"]
        ),
        None if only is None else frozenset(only),
        frozenset(fields.get("but", ())),
        fields.get("locked", False),
    )


def _shared(text: str | None) -> str | None:
    """Intern a text: millions of records name few accounts and senders."""
    return None if text is None else intern(text)


def _verdict(
    record: Any,
    fields: Mapping[str, Any],
    refused_by: Named | None = None,
    *,
    suspended: bool = False,
) -> Verdict:
    except_from = (_header(record.headers, _EXCEPT_FROM_HEADER) or b"").decode()
    return Verdict(
        fields["message_sid"],
        _send_ref(fields),
        record.offset,
        record.timestamp,
        _key(fields["account_sid"], fields["to"]),
        intern(fields["account_sid"]),
        _shared(fields.get("messaging_service_sid")),
        _shared(fields.get("from")),
        None if refused_by or suspended else hash(record.value),
        _header_mark(record.headers, "mark"),
        _header_mark(record.headers, "after-mark"),
        refused_by,
        frozenset(except_from.split(",")) if except_from else frozenset(),
        suspended,
    )


def _add_status(partition: Partition, record: Any, fields: Mapping[str, Any]) -> None:
    block = fields.get("block")
    outcome = fields["status"], fields.get("error_code")
    # Carriers write here too, but only the gate names a block or a mark.
    if outcome == ("failed", 30002) and _header(record.headers, "mark"):
        partition.verdicts.append(_verdict(record, fields, suspended=True))
    if outcome == ("failed", 21610) and block:
        named = Named(block["scope"], block["change_id"], mark_of(block["mark"]))
        partition.verdicts.append(_verdict(record, fields, named))


def _add_entry(partition: Partition, record: Any, settled: bool) -> None:
    key = record.key.decode()
    partition.entries.pop(key, None)
    if record.value:
        fields = fields_of(record.value)
        if _group_key(fields) != key:
            raise Unreadable
        blocks = tuple(
            Block(
                _place(one),
                _standing(one),
                mark_of(one["mark"]),
                frozenset((source["kind"], _ms(source["last"])) for source in one["sources"]),
            )
            for one in fields["blocks"]
        )
        partition.entries[key] = (record.offset, blocks)
    if not settled:
        partition.touched.add(key)


def packed_blocks(value: bytes) -> tuple[Block, ...]:
    """Unpack the blocks of an entry's field in Redis.

    Raises:
        ValueError: its format is unknown to the audit.
    """
    try:
        version, *blocks = orjson.loads(value)
        if version == 2:
            return tuple(_packed_block(*fields) for fields in blocks)
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError("not an entry's field") from error
    raise ValueError(f"format {version}")


def _packed_block(place: str, mark: str, *fields: Any) -> Block:
    times: dict[str, list[int]] = {}  # by kind and change id
    limits: Mapping[str, Any] = {}
    for part in fields:
        if isinstance(part, str):
            times[part] = []
        elif isinstance(part, int):
            list(times.values())[-1].append(part)
        else:
            limits = part
    only = limits.get("only")
    standing = Standing(
        frozenset(Source(_KINDS[one[0]], one[1:], at[0]) for one, at in times.items()),
        None if only is None else frozenset(only),
        frozenset(limits.get("but", ())),
        bool(limits.get("locked", False)),
    )
    lasts = frozenset((_KINDS[one[0]], at[-1]) for one, at in times.items())
    where = Place(_SCOPES[place[0]], place[1:], place[0] == "c")
    return Block(where, standing, mark_of(mark), lasts)


def add(partition: Partition, topic: str, record: Any) -> None:
    """Add a Kafka record; remember an unreadable record as such.

    Args:
        partition: to which it is added.
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
        # Notifications are read first, so a message that has and needs none is left out here.
        if message.is_reserved or message.ref in partition.notified:
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
        notification = _notification(record, fields)
        partition.notifications.append(notification)
        partition.notified.add(notification.ref)
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
            partition.notified.add(change.ref)  # in the topics it was moved from
        if not settled:
            partition.touched.add(change.key)
