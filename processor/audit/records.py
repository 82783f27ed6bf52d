"""Read records of the topics for an audit, with parsers of the audit's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Any, Protocol, TypeAlias

import orjson

from processor.audit.values import (
    ALLOWED,
    CHANGES,
    COMMANDS,
    INBOUND,
    LETTERS,
    LIST,
    NOTIFICATIONS,
    OUTBOUND,
    REPLIES,
    STATUSES,
    Block,
    Change,
    Command,
    Mark,
    Message,
    Named,
    Notification,
    Partition,
    Place,
    Ref,
    Reply,
    Send,
    Source,
    Standing,
    Unreadable,
    Verdict,
)
from processor.kafka.fetched import UnreadBatch
from processor.kafka.partition_facts import aiokafkas_partition_of

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

Fields: TypeAlias = Mapping[str, Any]  # of a JSON object; reading one may raise anything


class KafkaRecord(Protocol):
    """A record as it was read; an audit names what it needs itself."""

    @property
    def offset(self) -> int:
        """In its partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Milliseconds UTC."""
        ...

    @property
    def key(self) -> Any:
        """Bytes, or None."""
        ...

    @property
    def value(self) -> Any:
        """Bytes, or None."""
        ...

    @property
    def headers(self) -> Iterable[tuple[str, bytes | None]]:
        """In order."""
        ...


def fields_of(value: bytes | None) -> Fields:
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


def _header(headers: Iterable[tuple[str, bytes | None]], name: str) -> bytes | None:
    found = [value for key, value in headers if key == name]
    return found[-1] if found else None


def _header_mark(headers: Iterable[tuple[str, bytes | None]], name: str) -> Mark | None:
    value = _header(headers, name)
    return mark_of(value.decode()) if value else None


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _first_ms(record: KafkaRecord) -> int:
    first = _header(record.headers, _FIRST_HEADER) or b""
    return min(int(first), record.timestamp) if first.isdigit() else int(record.timestamp)


def _said_ms(record: KafkaRecord, fields: Fields) -> int:
    """Use a carrier's time only if it is more than an hour earlier (R19)."""
    first_ms, received_ms = _first_ms(record), _ms(fields["received_at"])
    return received_ms if received_ms < first_ms - 3_600_000 else first_ms


def _is_elsewhere(partition: Partition, record: KafkaRecord, key: str) -> bool:
    """Whether a record was sent on because it was not in its recipient's partition."""
    number = key.rpartition("/")[2].removeprefix("whatsapp:").encode()
    place = aiokafkas_partition_of(number, partition.of)
    return bool(record.key != number or place != partition.number)


def _key(account: str, address: str) -> str:
    """Make an entry key: WhatsApp has its own list, other channels share the number's (R21)."""
    number = address.rpartition(":")[2]
    return (
        f"{account}/whatsapp:{number}" if address.startswith("whatsapp:") else f"{account}/{number}"
    )


def _group_key(fields: Fields) -> str:
    group = "whatsapp:" if fields.get("channel_group") == "whatsapp" else ""
    return f"{fields['account_sid']}/{group}{fields['recipient']}"


def _place(fields: Fields) -> Place:
    target = {
        "account": "",
        "service": fields.get("messaging_service_sid"),
        "sender": fields.get("sender"),
    }[fields["scope"]]
    return Place(intern(fields["scope"]), intern(target or ""), bool(fields.get("carrier", False)))


def _said(fields: Fields) -> int:
    return hash((fields["account_sid"], fields["from"], fields["to"], fields["body"]))


def _message_ref(key: str, sid: str, sender: str) -> Ref:
    return ("message", key, sid, sender)


def _command_ref(account: str, id_: str) -> Ref:
    return ("command", account, id_)


def _source_kind(source: str) -> str:
    """Find the kind of source that a command adds."""
    return "review" if source == "review" else "command"


def _message(record: KafkaRecord, fields: Fields) -> Message:
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


def _command(record: KafkaRecord, fields: Fields) -> Command:
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


def _send(record: KafkaRecord, fields: Fields) -> Send:
    return Send(
        fields["message_sid"],
        _send_ref(fields),
        record.offset,
        record.timestamp,
        _key(fields["account_sid"], fields["to"]),
        hash(record.value),
        _header_mark(record.headers, "after-mark"),
    )


def _send_ref(fields: Fields) -> Ref:
    return (fields["account_sid"], fields["message_sid"], fields["to"], fields.get("from") or "")


def _notification(record: KafkaRecord, fields: Fields) -> Notification:
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


def _reply(record: KafkaRecord, fields: Fields) -> Reply:
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


def _change(record: KafkaRecord, fields: Fields) -> Change:
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


def _changed_to(fields: Fields, source: str, since_ms: int) -> Standing:
    if fields.get("standing"):
        return _standing(fields["standing"])
    # The record was written before blocks had several causes.
    only_source = Source(source, fields["change_id"], since_ms)
    return Standing(frozenset({only_source}), None, frozenset(), False)


def _standing(fields: Fields) -> Standing:
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
    record: KafkaRecord,
    fields: Fields,
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


def _add_status(partition: Partition, record: KafkaRecord, fields: Fields) -> None:
    block = fields.get("block")
    outcome = fields["status"], fields.get("error_code")
    # Carriers write here too, but only the gate names a block or a mark.
    if outcome == ("failed", 30002) and _header(record.headers, "mark"):
        partition.verdicts.append(_verdict(record, fields, suspended=True))
    if outcome == ("failed", 21610) and block:
        named = Named(block["scope"], block["change_id"], mark_of(block["mark"]))
        partition.verdicts.append(_verdict(record, fields, named))


def _add_entry(partition: Partition, record: KafkaRecord, settled: bool) -> None:
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
    limits: Fields = {}
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


def add(partition: Partition, topic: str, record: KafkaRecord) -> None:
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


def _add(partition: Partition, topic: str, record: KafkaRecord) -> None:
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
