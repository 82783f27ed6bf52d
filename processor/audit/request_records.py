"""Read what the webhooks lane writes and reads, with parsers of the audit's own."""

from __future__ import annotations

import re

from processor.audit.parsing import Fields, KafkaRecord, fields_of, text_of
from processor.audit.values import DUE, STATUSES, Made, Try, Unreadable, digest

_RETRY_OF = "optout.retry-of"
_PLACE = re.compile(r"(.+)\[([0-9]{1,9})\]@([0-9]{1,18})")


def next_try(record: KafkaRecord, fields: Fields) -> Try:
    """Read a record of a retry topic."""
    said = text_of(dict(record.headers).get(_RETRY_OF)) or ""
    place = _PLACE.fullmatch(said)
    topic = _topic_of(place[1]) if place else None
    before = (topic, int(place[2]), int(place[3])) if place and topic else None
    return Try(record.offset, record.timestamp, before, id_of(fields))


def id_of(fields: Fields) -> bytes:
    """Digest the ids of a delivery: those of its message, then its own; a status has no own id."""
    account, own = fields["account_sid"], fields.get("delivery_id") or ""
    return digest(account, fields["message_sid"]) + digest(account, own)


def made(record: KafkaRecord, fields: Fields) -> Made:
    """Read a record of webhooks-made."""
    runs = [
        (topic, int(run["first"]), int(run["end"]))
        for name, its in fields["made"].items()
        if (topic := _topic_of(name))
        for run in its
    ]
    return Made(record.offset, tuple(runs))


def _topic_of(name: str) -> str | None:
    """Find a topic without the prefix."""
    return next((topic for topic in DUE if name.endswith(topic)), None)


def asks_for_request(topic: str, record: KafkaRecord) -> bool:
    """Whether a record surely asks for a request; statuses do where their send named a URL."""
    if topic != STATUSES:
        return True
    if b'"status_callback"' not in (record.value or b""):
        return False
    try:
        return isinstance(fields_of(record.value).get("status_callback"), str)
    except Unreadable:
        return False
