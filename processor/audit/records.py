"""Read records of the topics for an audit, with parsers of the audit's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Any, Protocol, TypeAlias, TypeVar

import orjson

from processor.audit.values import (
    ALLOWED,
    SOURCES,
    STATUSES,
    Block,
    Change,
    Command,
    Delivery,
    Entry,
    Mark,
    Message,
    Named,
    Notification,
    Place,
    Ref,
    Reply,
    Send,
    Source,
    Standing,
    Unreadable,
    Verdict,
)

_LETTER_HEADER = "__connect.errors."
_MOVED = "moved-from"
_FIRST = "optout.first-append"
_SENT_ON = "optout.sent-on"
_REDRIVES = "optout.redrives"
_SOURCE = "optout.source"
_CONFIG = "optout.config"
_SERVICE = "optout.service"
_EXCEPT_FROM = "optout.except-from"
_LATE_MS = 3_600_000  # a carrier's time counts only if it is this much earlier (R19)
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

Fields: TypeAlias = Mapping[str, Any]  # of a JSON object; reading one may raise anything
Headers: TypeAlias = Mapping[str, bytes | None]  # the last of each name

_T = TypeVar("_T")
_WRONG = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)


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


def read(parse: Callable[[KafkaRecord, Fields], _T], record: KafkaRecord) -> _T:
    """Parse a record.

    Raises:
        Unreadable: its value does not fit its topic.
    """
    try:
        return parse(record, fields_of(record.value))
    except _WRONG:
        raise Unreadable from None


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


@lru_cache(4_096)
def _header_mark(value: bytes | None) -> Mark | None:
    return mark_of(value.decode()) if value else None


def _int(value: bytes | None) -> int | None:
    return int(value) if value and value.isdigit() else None


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")


def _place_of(value: bytes | None) -> str | None:
    """Read `topic[partition]@offset`, without the topics' prefix."""
    said = _text(value)
    if said is None:
        return None
    return next((said[said.find(topic) :] for topic in SOURCES if f"{topic}[" in said), said)


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _first_ms(record: KafkaRecord, headers: Headers) -> int:
    first = headers.get(_FIRST) or b""
    return min(int(first), record.timestamp) if first.isdigit() else int(record.timestamp)


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


def message_ref(key: str, sid: str, sender: str) -> Ref:
    """Name a message (R22); its account and recipient are in the key."""
    return ("message", key, sid, sender)


def _source_kind(source: str) -> str:
    """Find the kind of source that a command adds."""
    return "review" if source == "review" else "command"


def message(record: KafkaRecord, fields: Fields) -> Message:
    """Read a record of inbound-messages."""
    headers = dict(record.headers)
    account, address = fields["account_sid"], fields["from"]
    key, number = _key(account, address), address.rpartition(":")[2]
    first_ms, received_ms = _first_ms(record, headers), _ms(fields["received_at"])
    return Message(
        fields["message_sid"],
        message_ref(key, fields["message_sid"], fields["to"]),
        record.offset,
        record.timestamp,
        key,
        account,
        fields.get("messaging_service_sid"),
        fields["to"],
        number,
        fields["body"],
        fields.get("from_country"),
        _said(fields),
        received_ms if received_ms < first_ms - _LATE_MS else first_ms,
        record.key == number.encode(),
        _place_of(headers.get(_SENT_ON)),
    )


def command(record: KafkaRecord, fields: Fields) -> Command:
    """Read a record of consent-commands."""
    headers = dict(record.headers)
    redrives = (headers.get(_REDRIVES) or b"0").decode("latin-1")
    account, id_ = fields["account_sid"], fields["command_id"]
    return Command(
        id_,
        ("command", account, id_, redrives),
        record.offset,
        record.timestamp,
        _group_key(fields),
        _place({**fields, "carrier": False}),
        fields["blocked"],
        _first_ms(record, headers),
        _source_kind(fields["source"]),
        bool((fields.get("reason") or "").strip()),
        fields["recipient"],
        record.key == fields["recipient"].encode(),
        _place_of(headers.get(_SENT_ON)),
    )


def send(record: KafkaRecord, fields: Fields) -> Send:
    """Read a record of outbound-messages."""
    account, address, sender = fields["account_sid"], fields["to"], fields.get("from")
    if address[0] == "+":  # nearly all
        key, number = f"{account}/{address}", address
    else:
        key, number = _key(account, address), address.rpartition(":")[2]
    headers = dict(record.headers) if record.headers else {}
    return Send(
        fields["message_sid"],
        (account, fields["message_sid"], address, sender or ""),
        record.offset,
        record.timestamp,
        key,
        account,
        fields.get("messaging_service_sid"),
        sender,
        number,
        record.value,
        _header_mark(headers.get("after-mark")) if headers else None,
        record.key == number.encode(),
        _place_of(headers.get(_SENT_ON)) if headers else None,
    )


def sent_on_of(record: KafkaRecord) -> str | None:
    """Find the place that a misplaced record came from, without the topics' prefix."""
    return _place_of(dict(record.headers).get(_SENT_ON))


def _cause(headers: Headers) -> tuple[Mark | None, int | None, int]:
    """Read which record caused an output, and what it was decided by."""
    return (
        _header_mark(headers.get("mark")),
        _int(headers.get(_SOURCE)),
        _int(headers.get(_CONFIG)) or 0,
    )


def notification(record: KafkaRecord, fields: Fields) -> Notification:
    """Read a record of opt-out-notifications."""
    key = _key(fields["account_sid"], fields["from"])
    return Notification(
        fields["message_sid"],
        message_ref(key, fields["message_sid"], fields["to"]),
        record.offset,
        record.timestamp,
        key,
        *_cause(dict(record.headers)),
        fields["account_sid"],
        fields["messaging_service_sid"],
        fields["to"],
        fields["kind"],
        fields["keyword"],
        fields["language"],
        fields["country"],
        fields["match"],
        fields["aoo_enabled"],
        fields["config_version"],
        fields["effective"],
        fields["reply_sent"],
        _said(fields),
    )


def reply(record: KafkaRecord, fields: Fields) -> Reply:
    """Read a record of reply-sends."""
    key = _key(fields["account_sid"], fields["to"])
    return Reply(
        fields["in_reply_to"],
        message_ref(key, fields["in_reply_to"], fields["from"]),
        record.offset,
        record.timestamp,
        key,
        *_cause(dict(record.headers)),
        fields["reply_sid"],
        fields["from"],
        fields["kind"],
        fields["language"],
        fields["body"],
    )


def delivery(record: KafkaRecord, fields: Fields) -> Delivery:
    """Read a record of webhook-deliveries."""
    said = fields["parameters"]
    key = _key(fields["account_sid"], said["From"])
    return Delivery(
        fields["message_sid"],
        message_ref(key, fields["message_sid"], said["To"]),
        record.offset,
        record.timestamp,
        key,
        *_cause(dict(record.headers)),
        fields["url"],
        said.get("OptOutType"),
    )


def change(record: KafkaRecord, fields: Fields) -> Change:
    """Read a record of block-changes."""
    headers = dict(record.headers)
    key, cause = _group_key(fields), fields["cause"]
    if cause["kind"] is not None:
        ref = message_ref(key, cause["id"], cause["sender"])
        kind = "keyword"
    else:
        ref = ("command", fields["account_sid"], cause["id"])
        kind = "unread-stop" if cause["source"] == "unread-stop" else _source_kind(cause["source"])
    since_ms, mark = _ms(fields["at"]), mark_of(fields["mark"])
    _, source, config = _cause(headers)
    standing = _standing(fields["standing"]) if fields["blocked"] else None
    return Change(
        fields["change_id"],
        ref,
        record.offset,
        record.timestamp,
        key,
        mark,
        source,
        config,
        _place(fields),
        standing,
        fields["previous"],
        since_ms,
        cause["id"],
        cause["kind"],
        kind,
        headers.get(_MOVED) is not None,
    )


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


def entry(record: KafkaRecord) -> Entry:
    """Read a record of block-list; a tombstone has no blocks.

    Raises:
        Unreadable: its value does not fit its topic.
    """
    try:
        key = record.key.decode()
        mark = _header_mark(dict(record.headers).get("mark"))
        if mark is None:
            raise Unreadable
        if not record.value:
            return Entry(key, record.offset, record.timestamp, mark, (), ())
        fields = fields_of(record.value)
        if _group_key(fields) != key:
            raise Unreadable
        blocks = tuple(
            Block(_place(one), _standing(one), mark_of(one["mark"])) for one in fields["blocks"]
        )
        lasts = tuple(
            (_place(one), source["kind"], _ms(source["last"]))
            for one in fields["blocks"]
            for source in one["sources"]
        )
        return Entry(key, record.offset, record.timestamp, mark, blocks, lasts)
    except _WRONG:
        raise Unreadable from None


def packed(value: bytes) -> tuple[tuple[Block, ...], tuple[tuple[Place, str, int], ...]]:
    """Unpack an entry's field in Redis into its blocks and the last time of each cause.

    Raises:
        ValueError: its format is unknown to the audit.
    """
    try:
        version, *blocks = orjson.loads(value)
        if version == 2:
            found = [_packed_block(*fields) for fields in blocks]
            return tuple(block for block, _ in found), tuple(
                last for _, lasts in found for last in lasts
            )
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError("not an entry's field") from error
    raise ValueError(f"format {version}")


def _packed_block(
    place: str, mark: str, *fields: Any
) -> tuple[Block, list[tuple[Place, str, int]]]:
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
    where = Place(_SCOPES[place[0]], place[1:], place[0] == "c")
    lasts = [(where, _KINDS[one[0]], at[-1]) for one, at in times.items()]
    return Block(where, standing, mark_of(mark)), lasts


def allowed(record: KafkaRecord) -> Verdict:
    """Read a record of allowed-sends; its value is compared with the send's, and not parsed.

    Raises:
        Unreadable: its headers are not the gate's.
    """
    try:
        headers = dict(record.headers)
        senders = (headers.get(_EXCEPT_FROM) or b"").decode()
        return Verdict(
            ALLOWED,
            record.offset,
            record.timestamp,
            _header_mark(headers.get("mark")),
            _int(headers.get(_SOURCE)),
            _int(headers.get(_CONFIG)),
            _text(headers.get(_SERVICE)) or None,
            record.value,
            except_from=frozenset(senders.split(",")) if senders else frozenset(),
        )
    except _WRONG:
        raise Unreadable from None


def failed(record: KafkaRecord) -> Verdict | None:
    """Read a record of message-statuses; None where it is a carrier's.

    Raises:
        Unreadable: its value does not fit its topic.
    """
    headers = dict(record.headers)
    if "mark" not in headers and _SOURCE not in headers:
        return None
    try:
        fields = fields_of(record.value)
        block, code = fields.get("block") or {}, fields["error_code"]
        if fields["status"] != "failed" or code not in (21610, 30002):
            raise Unreadable
        named = None
        if code == 21610:
            named = Named(block["scope"], block["change_id"], mark_of(block["mark"]))
        sender = fields.get("from") or ""
        return Verdict(
            STATUSES,
            record.offset,
            record.timestamp,
            _header_mark(headers.get("mark")),
            _int(headers.get(_SOURCE)),
            _int(headers.get(_CONFIG)),
            _text(headers.get(_SERVICE)) or None,
            record.value,
            named,
            (fields["account_sid"], fields["message_sid"], fields["to"], sender),
            suspended=code == 30002,
        )
    except _WRONG:
        raise Unreadable from None


def letter(record: KafkaRecord) -> tuple[str, int, int] | None:
    """Read which record a dead letter holds: topic with its prefix, partition, offset."""
    headers = dict(record.headers)
    topic, partition, offset = (
        headers.get(_LETTER_HEADER + name) for name in ("topic", "partition", "offset")
    )
    if topic is None or (place := _int(partition)) is None or (at := _int(offset)) is None:
        return None
    return topic.decode(errors="replace"), place, at
