"""Rows of the block list in import and export files, CSV or JSON lines."""

from __future__ import annotations

import csv
import uuid
from collections.abc import Iterable, Iterator
from hashlib import blake2b

import orjson
from pydantic import ValidationError

from processor import clocks
from processor.core.addresses import subscriber_key
from processor.core.blocks import scope_for
from processor.core.messages import ChannelGroup, Scope, channel_group_of
from processor.errors import ConfigError
from processor.json_types import Json, JsonObject
from processor.wire import consent_commands
from processor.wire.blocks import BlockLine
from processor.wire.json_values import reason, to_text
from processor.wire.spellings import NoAddress, Unclear, subscriber_of

LONGEST_LINE = 65_536  # bytes; a longer one is a bad row
_BOM = "\ufeff".encode()
_TOO_LONG = ValueError(f"longer than {LONGEST_LINE:,} bytes")

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
    "source",
    "locked",
)
# The columns that an import reads, by the command's fields. The rest of an export's columns come
# from the list itself.
_ROW = (
    "recipient",
    "channel_group",
    "account_sid",
    "scope",
    "messaging_service_sid",
    "sender",
    "blocked",
    "reason",
    "actor",
    "at",
)
SOURCE = "import"  # of every command of an import; a row's own source is only a claim


def new_import_id() -> str:
    """An id for an import whose sender chose none."""
    return f"IM{uuid.uuid4().hex}"


def command_of(
    row: Json, defaults: dict[str, str | None], *, import_id: str, country: str | None = None
) -> JsonObject:
    """A row as a checked command; the same row of one import is the same command.

    Args:
        row: its fields, or what a reader made of a line that has none.
        defaults: for what it does not say.
        import_id: the same when an import that broke off is sent again.
        country: of numbers without a country's code, if the row names none.

    Returns:
        The fields of `consent-commands`; its recipient is the record's key.

    Raises:
        ValueError: with what is wrong; pydantic's ``ValidationError`` where it is a field.
    """
    if isinstance(row, ValueError):
        raise row
    if not isinstance(row, dict):
        raise ValueError("not an object with fields")
    if row.get("carrier") in (True, "True", "true"):
        raise ValueError(
            "carrier: a toll-free network's block is the network's, not to be imported"
        )
    if (
        row.get("locked") not in (None, "", False, "False", "false")
        or row.get("only")
        or row.get("but")
    ):
        raise ValueError("locked, only, but: an import can only block everything, without a lock")
    given = {name: row[name] for name in _ROW if row.get(name) not in (None, "")}
    recipient = _recipient(given, row.get("country") or country)
    if not recipient.startswith("+"):  # a prefix, or a user id, says the channel
        group = channel_group_of(recipient) if ":" in recipient else ChannelGroup.WHATSAPP
        if given.setdefault("channel_group", group.value) != group:
            raise ValueError("channel_group: is not the channel of the recipient's address")
    if row.get("service_sid") and row.get("scope") in (None, "", Scope.SERVICE.value):
        # As the API and the commands call it.
        given.setdefault("messaging_service_sid", row["service_sid"])
    usual = {name: value for name, value in defaults.items() if value is not None}
    claimed = row.get("source") or _sources_in(row) or usual.pop("source", None)
    usual["source"] = SOURCE
    fields = {**usual, "blocked": True, **given, "recipient": subscriber_key(recipient)}
    if claimed:
        fields["claimed_source"] = claimed
    if "scope" not in given and "scope" in usual:
        fields["scope"] = scope_for(
            None,
            service_sid=given.get("messaging_service_sid"),
            sender=given.get("sender"),
            default=Scope(str(usual["scope"])),
        ).value
    if isinstance(fields["blocked"], str):
        fields["blocked"] = {"true": True, "false": False}.get(
            fields["blocked"].lower(), fields["blocked"]
        )
    # Workers remember the commands they carried out: repeating an import changes nothing, another
    # import of the same rows takes effect.
    same = {name: value for name, value in fields.items() if name != "actor"}
    said = orjson.dumps([import_id, same], option=orjson.OPT_SORT_KEYS)
    fields["command_id"] = "CI" + blake2b(said, digest_size=16).hexdigest()
    fields.setdefault("at", row.get("since") or to_text(clocks.now_ms()))
    consent_commands.read(orjson.dumps(fields))
    return fields


def reason_of(error: ValueError) -> str:
    """Why a row is refused."""
    return reason(error) if isinstance(error, ValidationError) else str(error)


def _recipient(given: JsonObject, country: object) -> str:
    said = str(given.get("recipient", ""))
    try:
        return subscriber_of(said, country=str(country) if country else None)
    except Unclear as error:
        raise ValueError(f"recipient: {error}") from None
    except NoAddress:
        return said if said.startswith("+") else f"+{said}"  # its schema says what it should be


def _sources_in(row: dict[str, object]) -> str | None:
    """The kinds of cause of an exported line of JSON."""
    sources = row.get("sources")
    if not isinstance(sources, list):
        return None
    return "+".join(str(one["kind"]) for one in sources if isinstance(one, dict) and "kind" in one)


def row_of(line: BlockLine) -> dict[str, object]:
    """A block as a row of CSV."""
    fields: dict[str, object] = {**line, "source": "+".join(one["kind"] for one in line["sources"])}
    return {name: fields[name] for name in COLUMNS}


class Rows:
    """Reads an import line by line, whatever part of it is there yet.

    Args:
        as_csv: CSV, whose first line names the columns; else JSON lines.
        name: of the import, for the error that refuses it.
    """

    def __init__(self, *, as_csv: bool, name: str) -> None:
        self._read = self._csv if as_csv else _json
        self._name = name
        self._number = 0
        self._columns: list[str] = []
        self._names_columns = as_csv

    def of(self, lines: Iterable[bytes]) -> Iterator[tuple[int, object]]:
        """The next lines, each with its number; an error in place of a line that cannot be read.

        Raises:
            ConfigError: where the first line of CSV names no column `recipient`.
        """
        for line in lines:
            self._number += 1
            if self._names_columns:
                self._columns, self._names_columns = self._header(line), False
            elif line.strip():
                yield self._number, _TOO_LONG if len(line) > LONGEST_LINE else self._read(line)

    def _header(self, line: bytes) -> list[str]:
        fields = _fields(line.decode("utf-8-sig", errors="replace"))
        columns = fields if isinstance(fields, list) else []
        named = [one.strip().lower() for one in columns]
        if "recipient" not in named or len(line) > LONGEST_LINE:
            raise ConfigError([f"{self._name}: the first line must name a column `recipient`"])
        return named

    def _csv(self, line: bytes) -> dict[str, str] | ValueError:
        fields = _fields(line.decode(errors="replace"))
        return (
            fields
            if isinstance(fields, ValueError)
            else dict(zip(self._columns, fields, strict=False))
        )


def _json(line: bytes) -> object:
    try:
        return orjson.loads(line.removeprefix(_BOM))
    except orjson.JSONDecodeError:
        return ValueError("not JSON")


def _fields(line: str) -> list[str] | ValueError:
    # Line by line: an open quote must not swallow the rows behind it.
    try:
        return next(csv.reader([line.rstrip("\r\n")], strict=True), [])
    except csv.Error as error:
        return ValueError(f"not CSV: {error}")
