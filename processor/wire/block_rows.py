"""The block list as files: what a row of an import or export says, CSV or JSON lines."""

from __future__ import annotations

import codecs
import csv
import time
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import orjson

from processor.core.messages import bare_number
from processor.errors import ConfigError
from processor.wire import consent_commands
from processor.wire.json_values import to_text

COLUMNS = (
    "recipient",
    "channel_group",
    "account_sid",
    "scope",
    "messaging_service_sid",
    "sender",
    "carrier",
    "since",
    "change_id",
    "mark",
)
# What a row of an import may say, by the command's fields; the rest of an export's columns is told
# by the list itself.
_ROW = (
    "recipient",
    "channel_group",
    "account_sid",
    "scope",
    "messaging_service_sid",
    "sender",
    "blocked",
    "source",
    "reason",
    "at",
)


def command_of(row: Any, defaults: dict[str, str | None]) -> tuple[bytes, bytes]:
    """A row as a command: its key and its value; the same row is the same command.

    Args:
        row: its fields, or what a reader made of a line that has none.
        defaults: for what it does not say.

    Raises:
        ValueError: with what is wrong; pydantic's ``ValidationError`` where it is a field.
    """
    if isinstance(row, csv.Error):
        raise ValueError(f"not CSV: {row}")
    if not isinstance(row, dict):
        raise ValueError("not an object with fields")
    if row.get("carrier") in (True, "True", "true"):
        raise ValueError(
            "carrier: a toll-free network's block is the network's, not to be imported"
        )
    given = {name: row[name] for name in _ROW if row.get(name) not in (None, "")}
    number = str(given.get("recipient", ""))
    if "channel_group" not in given and number.startswith("whatsapp:"):
        given["channel_group"] = "whatsapp"
    fields = {
        **{name: value for name, value in defaults.items() if value is not None},
        "blocked": True,
        **given,
        "recipient": bare_number(number),
    }
    if isinstance(fields["blocked"], str):
        fields["blocked"] = {"true": True, "false": False}.get(
            fields["blocked"].lower(), fields["blocked"]
        )
    # The same row is the same command: a worker that carried it out remembers it.
    said = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    fields["command_id"] = "CI" + blake2b(said, digest_size=16).hexdigest()
    fields.setdefault("at", row.get("since") or to_text(time.time_ns() // 1_000_000))
    value = orjson.dumps(fields)
    command = consent_commands.read(value)
    return command.recipient.encode(), value


def json_rows(lines: Iterable[bytes]) -> Iterator[tuple[int, Any]]:
    """Every line of JSON lines with its number; None where it is no JSON."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, orjson.loads(line)
            except orjson.JSONDecodeError:
                yield number, None


def csv_rows(lines: Iterator[bytes], *, name: str) -> Iterator[tuple[int, Any]]:
    """Every line's fields by its column, or what is wrong with the line.

    Raises:
        ConfigError: where the first line names no column `recipient`.
    """
    text = codecs.iterdecode(lines, "utf-8-sig", errors="replace")
    header = _fields(next(text, ""))
    columns = [] if isinstance(header, csv.Error) else [one.strip().lower() for one in header]
    if "recipient" not in columns:
        raise ConfigError([f"{name}: the first line must name a column `recipient`"])
    for number, line in enumerate(text, 2):
        if line.strip():
            fields = _fields(line)
            if isinstance(fields, csv.Error):
                yield number, fields
            else:
                yield number, dict(zip(columns, fields, strict=False))


def _fields(line: str) -> list[str] | csv.Error:
    # Line by line: an open quote must not swallow the rows behind it.
    try:
        return next(csv.reader([line.rstrip("\r\n")], strict=True), [])
    except csv.Error as error:
        return error
