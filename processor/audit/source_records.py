"""Read messages, commands, sends and dead letters, with parsers of the audit's own."""

from __future__ import annotations

from processor.audit.loose import is_heard, loosely
from processor.audit.parsing import (
    Fields,
    Headers,
    KafkaRecord,
    block_place,
    group_key,
    header_mark,
    int_of,
    key_of,
    message_ref,
    ms_of,
    place_of,
    said_of,
    source_kind,
)
from processor.audit.people import is_user_id, subscriber_of
from processor.audit.values import Command, Message, Send, Way
from processor.audit.ways import way_of

_LETTER_HEADER = "__connect.errors."
_FIRST = "optout.first-append"
_SENT_ON = "optout.sent-on"
_REDRIVES = "optout.redrives"
_LATE_MS = 3_600_000  # a carrier's time counts only if it is this much earlier (R19)


def _first_ms(record: KafkaRecord, headers: Headers) -> int:
    first = headers.get(_FIRST) or b""
    return min(int(first), record.timestamp) if first.isdigit() else int(record.timestamp)


def message(record: KafkaRecord, fields: Fields) -> Message:
    """Read a record of inbound-messages."""
    headers = dict(record.headers)
    fields = loosely(fields)
    account, address = fields["account_sid"], fields["from"]
    writer, way = subscriber_of(address), way_of(headers)
    number = way.at if way else writer
    key = f"{account}/whatsapp:{number}" if way else key_of(account, address)
    first_ms, received_ms = _first_ms(record, headers), ms_of(fields["received_at"])
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
        writer,
        fields["body"] if is_heard(address) else "",  # no keyword is heard from it
        fields.get("from_country"),
        said_of(fields),
        received_ms if received_ms < first_ms - _LATE_MS else first_ms,
        first_ms,
        record.key == number.encode(),
        place_of(headers.get(_SENT_ON)),
        bool(fields.get("carrier_replied")),
        way,
        _other(writer, way, fields.get("user_id") if address.startswith("whatsapp:") else None),
    )


def _other(writer: str, way: Way | None, user_id: str | None) -> str | None:
    """Where a record may go on to; empty: to a number that only a link names."""
    if way is not None:
        return way.number if way.step == "ask" else None
    if is_user_id(writer):
        return ""
    return user_id


def is_redriven(record: KafkaRecord) -> bool:
    """Whether an operator sent a dead letter back: then its value is the operator's."""
    return _REDRIVES in dict(record.headers)


def command(record: KafkaRecord, fields: Fields) -> Command:
    """Read a record of consent-commands."""
    headers = dict(record.headers)
    redrives = (headers.get(_REDRIVES) or b"0").decode("latin-1")
    account, id_, number = (
        fields["account_sid"],
        fields["command_id"],
        subscriber_of(fields["recipient"]),
    )
    way = way_of(headers)
    at = way.at if way else number
    about = "link" if fields.get("link") else "move" if fields.get("moved_to") else None
    return Command(
        id_,
        ("command", account, id_, redrives),
        record.offset,
        record.timestamp,
        f"{account}/whatsapp:{at}" if way else group_key(fields),
        block_place({**fields, "carrier": False}),
        fields["blocked"],
        _first_ms(record, headers),
        source_kind(fields["source"]),
        bool((fields.get("reason") or "").strip()),
        at,
        record.key == at.encode(),
        place_of(headers.get(_SENT_ON)),
        about,
        way,
        subscriber_of(fields["link"]) if about == "link" and not way else _other(number, way, None),
    )


def send(record: KafkaRecord, fields: Fields) -> Send:
    """Read a record of outbound-messages."""
    account, address, sender = fields["account_sid"], fields["to"], fields.get("from")
    if address[0] == "+" and address[1] != "5":  # nearly all
        key, number = f"{account}/{address}", address
    else:
        key, number = key_of(account, address), subscriber_of(address)
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
        header_mark(headers.get("after-mark")) if headers else None,
        record.key == number.encode(),
        place_of(headers.get(_SENT_ON)) if headers else None,
    )


def sent_on_of(record: KafkaRecord) -> str | None:
    """Find the place that a misplaced record came from, without the topics' prefix."""
    return place_of(dict(record.headers).get(_SENT_ON))


def letter(record: KafkaRecord) -> tuple[str, int, int] | None:
    """Read which record a dead letter holds: topic with its prefix, partition, offset."""
    headers = dict(record.headers)
    topic, partition, offset, read_in = (
        headers.get(_LETTER_HEADER + name)
        for name in ("topic", "partition", "offset", "read.topic")
    )
    topic = read_in or topic  # a redrive sends it to another topic than it was read in
    if topic is None or (place := int_of(partition)) is None or (at := int_of(offset)) is None:
        return None
    return topic.decode(errors="replace"), place, at
