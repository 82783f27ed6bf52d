"""Read what match and gate write, and Redis, with parsers of the audit's own."""

from __future__ import annotations

from sys import intern
from typing import Any

import orjson

from processor.audit.parsing import (
    WRONG,
    Fields,
    Headers,
    KafkaRecord,
    block_place,
    fields_of,
    group_key,
    header_mark,
    int_of,
    key_of,
    mark_of,
    message_ref,
    ms_of,
    said_of,
    source_kind,
    text_of,
)
from processor.audit.people import is_user_id, subscriber_of
from processor.audit.values import (
    ALLOWED,
    STATUSES,
    Block,
    Change,
    Delivery,
    Entry,
    HandOver,
    Mark,
    Marks,
    Named,
    Notification,
    Place,
    Reply,
    Report,
    Source,
    Standing,
    Suspicion,
    Unreadable,
    Verdict,
)

_MOVED = "moved-from"
_SOURCE = "optout.source"
_CONFIG = "optout.config"
_SERVICE = "optout.service"
_HAND_OVER = "optout.hand-over"
_LOOKED_AT = "optout.looked-at"
_EXCEPT_FROM = "optout.except-from"
_LINKED = "optout.linked"
# In Redis.
_SCOPES = {"a": "account", "m": "service", "s": "sender", "c": "sender"}
_KINDS = {
    "k": "keyword",
    "o": "own-words",
    "u": "unread-stop",
    "c": "command",
    "r": "review",
    "s": "signal",
    "?": "unreadable",
}


def _cause(headers: Headers) -> tuple[Mark | None, int | None, int]:
    """Read which record caused an output, and what it was decided by."""
    return (
        header_mark(headers.get("mark")),
        int_of(headers.get(_SOURCE)),
        int_of(headers.get(_CONFIG)) or 0,
    )


def _entry_of(record: KafkaRecord, account: str, address: str) -> str:
    """Find the entry behind an output: of a linked user id, its number's, as the key says (R32)."""
    if is_user_id(subscriber_of(address)) and record.key:
        return f"{account}/whatsapp:{record.key.decode()}"
    return key_of(account, address)


def notification(record: KafkaRecord, fields: Fields) -> Notification:
    """Read a record of opt-out-notifications."""
    key = _entry_of(record, fields["account_sid"], fields["from"])
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
        fields["opt_out_type"],
        fields["config_version"],
        fields["effective"],
        fields["reply_sent"],
        fields["braked"],
        said_of(fields),
        _suspicion(fields["suspected"]) if fields.get("suspected") else None,
    )


def _suspicion(fields: Fields) -> Suspicion:
    return Suspicion(
        fields["tier"], float(fields["score"]), tuple(fields["reasons"]), fields["policy"]
    )


def report(record: KafkaRecord, fields: Fields) -> Report:
    """Read a record of suspected-opt-outs."""
    key = _entry_of(record, fields["account_sid"], fields["from"])
    due_at = fields["due_at"]
    headers = dict(record.headers)
    return Report(
        fields["message_sid"],
        message_ref(key, fields["message_sid"], fields["to"]),
        record.offset,
        record.timestamp,
        key,
        *_cause(headers),
        fields["messaging_service_sid"],
        _suspicion(fields["suspected"]),
        fields["overdue"],
        None if due_at is None else ms_of(due_at),
        fields["aoo_enabled"],
        fields["config_version"],
        said_of(fields),
        headers.get(_MOVED) is not None,
    )


def reply(record: KafkaRecord, fields: Fields) -> Reply:
    """Read a record of reply-sends."""
    key = _entry_of(record, fields["account_sid"], fields["to"])
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
        ms_of(fields["send_before"]),
        fields["late_reply"],
    )


def delivery(record: KafkaRecord, fields: Fields) -> Delivery:
    """Read a record of webhook-deliveries."""
    said = fields["parameters"]
    key = _entry_of(record, fields["account_sid"], said["From"])
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
    key, cause = group_key(fields), fields["cause"]
    if cause["kind"] is not None:
        ref = message_ref(key, cause["id"], cause["sender"])
        kind = "own-words" if cause["source"] == "own-words" else "keyword"
    elif cause["source"] == "link" and cause["sender"] is not None:
        ref, kind = message_ref(key, cause["id"], cause["sender"]), "link"
    else:
        ref = ("command", fields["account_sid"], cause["id"])
        kind = cause["source"]
        if kind not in ("unread-stop", "link"):
            kind = source_kind(kind)
    since_ms, mark = ms_of(fields["at"]), mark_of(fields["mark"])
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
        block_place(fields),
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
            Source(intern(one["kind"]), one["change_id"], ms_of(one["since"]))
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
        mark = header_mark(dict(record.headers).get("mark"))
        if mark is None:
            raise Unreadable
        if not record.value:
            return Entry(key, record.offset, record.timestamp, mark, (), ())
        fields = fields_of(record.value)
        if group_key(fields) != key:
            raise Unreadable
        blocks = tuple(
            Block(block_place(one), _standing(one), mark_of(one["mark"]))
            for one in fields["blocks"]
        )
        lasts = tuple(
            (block_place(one), source["kind"], ms_of(source["last"]))
            for one in fields["blocks"]
            for source in one["sources"]
        )
        ids = tuple(fields.get("ids") or ())
        return Entry(
            key, record.offset, record.timestamp, mark, blocks, lasts, fields.get("link"), ids
        )
    except WRONG:
        raise Unreadable from None


def packed(value: bytes) -> tuple[tuple[Block, ...], tuple[tuple[Place, str, int], ...]]:
    """Unpack an entry's field in Redis into its blocks and the last time of each cause.

    Raises:
        ValueError: its format is unknown to the audit.
    """
    try:
        version, *parts = orjson.loads(value)
        if version == 2:
            if parts and isinstance(parts[-1], dict):
                parts.pop()  # the person's other addresses (R32)
            found = [_packed_block(*fields) for fields in parts]
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


def _marks(value: bytes | None) -> Marks:
    """Read ``partition:mark``, by commas."""
    if not value:
        return ()
    pairs = (one.split(":") for one in value.decode().split(","))
    return tuple((int(partition), mark_of(mark)) for partition, mark in pairs)


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
            header_mark(headers.get("mark")),
            int_of(headers.get(_SOURCE)),
            int_of(headers.get(_CONFIG)),
            text_of(headers.get(_SERVICE)) or None,
            record.value,
            except_from=frozenset(senders.split(",")) if senders else frozenset(),
            linked=_marks(headers.get(_LINKED)),
        )
    except WRONG:
        raise Unreadable from None


def failed(record: KafkaRecord) -> Verdict | None:
    """Read a record of message-statuses; None where it is a carrier's.

    Raises:
        Unreadable: its value does not fit its topic.
    """
    headers = dict(record.headers)
    if _HAND_OVER in headers or ("mark" not in headers and _SOURCE not in headers):
        return None
    try:
        fields = fields_of(record.value)
        block, code = fields.get("block") or {}, fields["error_code"]
        if fields["status"] != "failed" or code not in (21610, 30002):
            raise Unreadable
        named = _named(block) if code == 21610 else None
        sender = fields.get("from") or ""
        return Verdict(
            STATUSES,
            record.offset,
            record.timestamp,
            header_mark(headers.get("mark")),
            int_of(headers.get(_SOURCE)),
            int_of(headers.get(_CONFIG)),
            text_of(headers.get(_SERVICE)) or None,
            record.value,
            named,
            (fields["account_sid"], fields["message_sid"], fields["to"], sender),
            suspended=code == 30002,
            linked=_marks(headers.get(_LINKED)),
        )
    except WRONG:
        raise Unreadable from None


def hand_over(record: KafkaRecord) -> HandOver | None:
    """Read a carrier's record of message-statuses; None where it is the gate's or a report.

    Raises:
        Unreadable: its value or headers do not fit.
    """
    headers = dict(record.headers)
    if _HAND_OVER not in headers or _MOVED in headers:
        return None
    try:
        fields = fields_of(record.value)
        block, account = fields.get("block"), fields["account_sid"]
        return HandOver(
            fields["message_sid"],
            record.offset,
            record.timestamp,
            key_of(account, fields["to"]),
            account,
            fields.get("messaging_service_sid"),
            fields.get("from"),
            text_of(headers[_HAND_OVER]) or "",
            fields["status"],
            int_of(headers.get(_LOOKED_AT)),
            header_mark(headers.get("mark")),
            int_of(headers.get(_CONFIG)),
            text_of(headers.get(_SERVICE)) or None,
            _named(block) if block else None,
            _marks(headers.get(_LINKED)),
        )
    except WRONG:
        raise Unreadable from None


def _named(block: Fields) -> Named:
    return Named(block["scope"], block["change_id"], mark_of(block["mark"]))
