"""The parts of the audit's own parsers: fields, headers, marks, times, keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Any, Protocol, TypeAlias, TypeVar

import orjson

from processor.audit.people import subscriber_of
from processor.audit.values import SOURCES, Mark, Place, Ref, Unreadable

Fields: TypeAlias = Mapping[str, Any]  # of a JSON object; reading one may raise anything
Headers: TypeAlias = Mapping[str, bytes | None]  # the last of each name

_T = TypeVar("_T")
WRONG = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    OverflowError,
)  # of a value that does not fit


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
    except WRONG:
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


@lru_cache(512)  # many records share a mark, and then its memory
def mark_of(text: str) -> Mark:
    """Parse a mark from its text, `epoch-counter`."""
    epoch, _, counter = text.partition("-")
    return Mark(int(epoch), int(counter))


@lru_cache(512)
def header_mark(value: bytes | None) -> Mark | None:
    """Parse the mark of a header."""
    return mark_of(value.decode()) if value else None


def int_of(value: bytes | None) -> int | None:
    """Parse the digits of a header; None where it has others."""
    return int(value) if value and value.isdigit() else None


def text_of(value: bytes | None) -> str | None:
    """Decode a header."""
    return None if value is None else value.decode(errors="replace")


def place_of(value: bytes | None) -> str | None:
    """Read `topic[partition]@offset`, without the topics' prefix."""
    said = text_of(value)
    if said is None:
        return None
    return next((said[said.find(topic) :] for topic in SOURCES if f"{topic}[" in said), said)


def ms_of(text: str) -> int:
    """Parse a time, to milliseconds UTC."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def key_of(account: str, address: str) -> str:
    """Make an entry key: WhatsApp has its own list, other channels share the number's (R21)."""
    group = "whatsapp:" if address.startswith("whatsapp:") else ""
    return f"{account}/{group}{subscriber_of(address)}"


def group_key(fields: Fields) -> str:
    """Make the entry key of a change, a command or an entry."""
    group = "whatsapp:" if fields.get("channel_group") == "whatsapp" else ""
    return f"{fields['account_sid']}/{group}{subscriber_of(fields['recipient'])}"


def block_place(fields: Fields) -> Place:
    """Read the place of a block."""
    target = {
        "account": "",
        "service": fields.get("messaging_service_sid"),
        "sender": fields.get("sender"),
    }[fields["scope"]]
    return Place(intern(fields["scope"]), intern(target or ""), bool(fields.get("carrier", False)))


def said_of(fields: Fields) -> int:
    """Digest who said what; it holds within a process."""
    return hash((fields["account_sid"], fields["from"], fields["to"], fields["body"]))


def message_ref(key: str, sid: str, sender: str) -> Ref:
    """Name a message (R22); its account and recipient are in the key."""
    return ("message", key, sid, sender)


def source_kind(source: str) -> str:
    """Find the kind of source that a command adds."""
    return "review" if source == "review" else "command"
