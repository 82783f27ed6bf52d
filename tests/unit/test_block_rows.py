"""Rows of imports and exports: the command of each row, and why a row cannot be read."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from processor.errors import ConfigError
from processor.wire.block_rows import COLUMNS, Rows, command_of, new_import_id, row_of
from processor.wire.blocks import line_of
from tests.builders import ACCOUNT, ENTRY, LONG_CODE, NOW, RECIPIENT, SERVICE, a_block

DEFAULTS: dict[str, str | None] = {
    "account_sid": ACCOUNT,
    "scope": "account",
    "channel_group": "sms",
    "source": None,
    "actor": "operator/jane",
}


def said(row: Any, *, import_id: str = "IM1", **defaults: str | None) -> dict[str, Any]:
    """The value of a row's command, without its id."""
    fields = command_of(row, {**DEFAULTS, **defaults}, import_id=import_id)
    assert re.fullmatch("CI[0-9a-f]{32}", fields.pop("command_id"))
    return fields


def id_of(row: Any, import_id: str = "IM1", **defaults: str | None) -> str:
    return str(command_of(row, {**DEFAULTS, **defaults}, import_id=import_id)["command_id"])


USUAL = {
    "account_sid": ACCOUNT,
    "scope": "account",
    "channel_group": "sms",
    "source": "import",
    "actor": "operator/jane",
    "blocked": True,
    "recipient": RECIPIENT,
    "at": NOW,
}


@pytest.mark.parametrize(
    ("row", "changes"),
    [
        ({}, {}),
        ({"blocked": "FALSE", "reason": "asked"}, {"blocked": False, "reason": "asked"}),
        ({"blocked": "true", "reason": ""}, {}),
        ({"recipient": f"whatsapp:{RECIPIENT}"}, {"channel_group": "whatsapp"}),
        ({"source": "crm"}, {"claimed_source": "crm"}),
        (
            {"sources": [{"kind": "keyword"}, {"kind": "operator"}, {}, 7]},
            {"claimed_source": "keyword+operator"},
        ),
        ({"sources": "keyword"}, {}),
        ({"service_sid": SERVICE}, {"scope": "service", "messaging_service_sid": SERVICE}),
        ({"sender": LONG_CODE}, {"scope": "sender", "sender": LONG_CODE}),
        (
            {"service_sid": SERVICE, "scope": "sender", "sender": LONG_CODE},
            {"scope": "sender", "sender": LONG_CODE},
        ),
        ({"locked": "False", "carrier": "False"}, {}),
    ],
)
def test_a_row_is_a_command(row: dict[str, Any], changes: dict[str, Any]) -> None:
    assert said({"recipient": RECIPIENT, "at": NOW} | row) == USUAL | changes


def test_an_exported_rows_time_is_taken_and_else_now() -> None:
    assert said({"recipient": RECIPIENT, "since": NOW})["at"] == NOW
    assert said({"recipient": RECIPIENT})["at"] > NOW[:2]


def test_what_the_import_claims_gives_way_to_what_the_row_claims() -> None:
    row = {"recipient": RECIPIENT}
    assert said(row, source="crm")["claimed_source"] == "crm"
    assert said(row | {"source": "list"}, source="crm")["claimed_source"] == "list"


def test_the_same_row_of_one_import_is_the_same_command_whoever_sends_it() -> None:
    row = {"recipient": RECIPIENT}
    assert id_of(row) == id_of(row, actor="operator/joe")
    assert id_of(row) != id_of(row, import_id="IM2")
    assert new_import_id() != new_import_id()


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (ValueError("not JSON"), "not JSON"),
        ([RECIPIENT], "not an object with fields"),
        ({"recipient": RECIPIENT, "carrier": "True"}, "carrier: a toll-free network's"),
        ({"recipient": RECIPIENT, "locked": True}, "locked, only, but"),
        ({"recipient": RECIPIENT, "only": ["x"]}, "locked, only, but"),
    ],
)
def test_a_row_that_cannot_be_imported_says_why(row: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        command_of(row, DEFAULTS, import_id="IM1")


@pytest.mark.parametrize(
    "row", [{}, {"recipient": RECIPIENT, "blocked": "perhaps"}, {"recipient": "nobody"}]
)
def test_a_field_that_is_wrong_is_named(row: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        command_of(row, DEFAULTS, import_id="IM1")


def test_a_block_is_a_row_that_an_import_takes() -> None:
    row = row_of(line_of(ENTRY, a_block()))
    assert tuple(row) == COLUMNS
    assert row["source"] == "keyword"
    written = {name: "" if value is None else str(value) for name, value in row.items()}
    assert said(written)["at"] == row["since"]


# Lines


def test_lines_of_csv_are_rows_whatever_part_is_there() -> None:
    rows = Rows(as_csv=True, name="list.csv")
    assert list(rows.of([b"\xef\xbb\xbf Recipient ,scope\r\n", b"+1555,account\r\n"])) == [
        (2, {"recipient": "+1555", "scope": "account"})
    ]
    [(number, bad)] = rows.of([b"\r\n", b'"+1556"x,account\n'])
    assert number == 4
    assert str(bad).startswith("not CSV: ")


def test_lines_of_json_are_rows_and_errors() -> None:
    rows = Rows(as_csv=False, name="list.jsonl")
    found = dict(rows.of([b'\xef\xbb\xbf{"recipient": "+1555"}\n', b" \n", b"{\n", b"x" * 65_537]))
    assert found[1] == {"recipient": "+1555"}
    assert [(number, str(found[number])) for number in (3, 4)] == [
        (3, "not JSON"),
        (4, "longer than 65,536 bytes"),
    ]
    assert 2 not in found


@pytest.mark.parametrize(
    "line", [b"number,scope\n", b'"recipient"x\n', b"recipient," + b"x" * 65_536]
)
def test_csv_without_a_column_of_recipients_is_refused(line: bytes) -> None:
    with pytest.raises(ConfigError, match=r"list\.csv: the first line must name a column"):
        list(Rows(as_csv=True, name="list.csv").of([line]))
