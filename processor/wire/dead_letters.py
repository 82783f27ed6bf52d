"""dead-letters.v1: the record untouched, and Connect's headers that say why.

One that is too large for the topic holds the beginning of its value, and a reference: where the
record lies in its own topic, and until when.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import msgspec
import orjson

from processor.wire.headers import MOST_BYTES, SENT_ON, of_the_way
from processor.wire.json_values import to_text
from processor.wire.records import Header, Headers, Record, is_unread

PREFIX = "__connect.errors."
READ_IN = "read.topic"  # of a record that a redrive sends to another topic
CYCLES = "optout.redrives"  # how often a record was sent back already
REFERENCE = "optout.reference"  # JSON: where the whole record lies, its size and digest, until when
MOST_REASON = 1_000  # characters: a record may have more faults than a person reads
MOST_WHOLE_BYTES = 1 << 20  # of a value that is kept whole
SOURCES_KEPT_MS = 7 * 24 * 3_600_000  # as topics.toml has it
FIRST_BYTES = 64 * 1024  # of a larger one


@dataclass(frozen=True, slots=True)
class Letter:
    """A record of dead-letters."""

    key: bytes | None
    value: bytes | None
    headers: list[Header]

    @property
    def is_reference(self) -> bool:
        """Whether only the beginning of the value is here."""
        return any(name == REFERENCE for name, _ in self.headers)


def letter_of(
    record: Record,
    *,
    stage: str,
    reason: str,
    topic: str | None = None,
    value: bytes | None = None,
    by_reference: bool = False,
) -> Letter:
    """A record that cannot be handled, with the reason; too large a value is only referred to.

    Args:
        record: as it was read; for an unreadable batch, its ``UnreadBatch``.
        stage: that refuses it.
        reason: in words, without anything of the record.
        topic: where a redrive sends it; the record's own if None.
        value: the value a redrive sends in place of the record's.
        by_reference: even where it would have room.
    """
    made = headers(
        of_the_way(record),
        topic=topic or record.topic,
        partition=record.partition,
        offset=record.offset,
        stage=stage,
        reason=reason,
    )
    if topic not in (None, record.topic):
        made.append((PREFIX + READ_IN, record.topic.encode()))
    key, whole = record.key, record.value if value is None else value
    fits = len(key or b"") <= MOST_BYTES and len(whole or b"") <= MOST_WHOLE_BYTES
    if fits and not is_unread(record) and not by_reference:
        return Letter(key, whole, made)
    reference: dict[str, object] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "size": len(record.value or b""),
        "sha256": sha256(record.value or b"").hexdigest(),
        "until": to_text(record.timestamp + SOURCES_KEPT_MS),
    }
    begins = (record.value or b"")[:FIRST_BYTES]
    if is_unread(record):
        reference |= {"size": record.size, "sha256": record.sha256}
        reference["first_offset"] = record.first_offset
        begins = record.begins
    made.append((REFERENCE, orjson.dumps(reference)))
    return Letter(key if len(key or b"") <= MOST_BYTES else None, begins or None, made)


def headers(
    given: Headers, *, topic: str, partition: int, offset: int, stage: str, reason: str
) -> list[Header]:
    """The record's own headers, then where it was read, by which stage, and why it was refused."""
    said = {
        "topic": topic,
        "partition": str(partition),
        "offset": str(offset),
        "connector.name": "optout",
        "stage": stage,
        "class.name": f"processor.stages.{stage}",
        "exception.class.name": "processor.errors.RecordError",
        "exception.message": reason[:MOST_REASON],
    }
    return [*given, *((PREFIX + name, text.encode()) for name, text in said.items())]


def redrives_of(given: Headers) -> int:
    """How often a record was sent back. Its writer may have forged the header."""
    text = (dict(given).get(CYCLES) or b"").decode("latin-1")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def said(given: Headers, name: str) -> str | None:
    """The value of the last header with a name, None where there is none."""
    found = [value for key, value in given if key == PREFIX + name and value is not None]
    return found[-1].decode(errors="replace") if found else None


def reference_of(given: Headers) -> dict[str, object] | None:
    """Where the whole record lies, None where the letter has all of it."""
    found = [value for name, value in given if name == REFERENCE and value]
    try:
        said = orjson.loads(found[-1]) if found else None
    except orjson.JSONDecodeError:
        return None
    return said if isinstance(said, dict) else None


def own_headers(given: Headers) -> list[Header]:
    """The headers a record came with, to send it back; it may be sent on once more."""
    return [
        (key, value)
        for key, value in given
        if not key.startswith(PREFIX) and key not in (REFERENCE, SENT_ON)
    ]


class _OfAccount(msgspec.Struct):
    """The only field of a record that a count of letters reads."""

    account_sid: str = ""


_read_account = msgspec.json.Decoder(_OfAccount).decode


def account_of(value: bytes | None) -> str:
    """The account of a letter's record; "" where it names none, or cannot be read."""
    try:
        return _read_account(value or b"{}").account_sid
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
