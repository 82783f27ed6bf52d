"""dead-letters.v1: the record untouched, and Connect's headers that say why."""

from __future__ import annotations

from collections.abc import Sequence

Headers = Sequence[tuple[str, bytes | None]]
PREFIX = "__connect.errors."
CYCLES = "optout.redrives"  # how often a record was sent back already


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
        "exception.message": reason,
    }
    return [*given, *((PREFIX + name, text.encode()) for name, text in said.items())]


def said(given: Headers, name: str) -> str | None:
    """What the last header of a name says, None where there is none."""
    found = [value for key, value in given if key == PREFIX + name and value is not None]
    return found[-1].decode(errors="replace") if found else None


def own_headers(given: Headers) -> list[tuple[str, bytes | None]]:
    """The headers a record came with, to send it back as it was."""
    return [(key, value) for key, value in given if not key.startswith(PREFIX)]
