"""dead-letters.v1: the record untouched, and Connect's headers that say why."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

Headers = Sequence[tuple[str, bytes | None]]
PREFIX = "__connect.errors."
CYCLES = "optout.redrives"  # how often a record was sent back already
MOST_REASON = 1_000  # characters: a record may have more faults than anybody reads
MOST_KEPT = 64 * 1024  # bytes of a value that no topic has room for
_MOST_KEY = 1024


def headers(
    given: Headers, *, topic: str, partition: int, offset: int, stage: str, reason: str
) -> list[tuple[str, bytes | None]]:
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


def reference(record: Any, *, stage: str, reason: str) -> tuple[bytes | None, bytes, Headers]:
    """Key, value and headers of a letter that points to a record too large to be kept whole.

    It holds the first bytes of the value. Topic, partition and offset lead to the rest, as long as
    the topic keeps it; size and hash say whether it is that.
    """
    value = record.value or b""
    where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    known = {"value.size": str(len(value)), "value.sha256": sha256(value).hexdigest()}
    return (
        record.key if len(record.key or b"") <= _MOST_KEY else None,
        value[:MOST_KEPT],
        [
            *headers((), **where, stage=stage, reason=reason),
            *((PREFIX + name, text.encode()) for name, text in known.items()),
        ],
    )


def said(given: Headers, name: str) -> str | None:
    """What the last header of a name says, None where there is none."""
    found = [value for key, value in given if key == PREFIX + name and value is not None]
    return found[-1].decode(errors="replace") if found else None


def own_headers(given: Headers) -> list[tuple[str, bytes | None]]:
    """The headers a record came with, to send it back as it was."""
    return [(key, value) for key, value in given if not key.startswith(PREFIX)]
