"""A log record is one line, whatever its fields contain."""

from __future__ import annotations

import logging
import sys

import pytest

from processor.logs import FieldsFormatter


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("AC1", "AC1"),
        ("été", "été"),
        ("x\x1bc.example", "x\\x1bc.example"),
        ("a\r\n2026-11-28 INFO forged", "a\\r\\n2026-11-28 INFO forged"),
        ("a\x85b\u2028c\u202ed", "a\\x85b\\u2028c\\u202ed"),
        (7, "7"),
    ],
)
def test_control_characters_of_a_field_are_escaped(value: object, shown: str) -> None:
    record = logging.makeLogRecord({"msg": "circuit.opened", "name": "n", "account": value})
    assert FieldsFormatter().format(record).endswith(f" n circuit.opened account={shown}")


def test_control_characters_of_a_message_and_of_an_error_are_escaped() -> None:
    try:
        raise ValueError("a\x1b[2Jb")
    except ValueError:
        record = logging.makeLogRecord({"msg": "lane\x07", "name": "n", "exc_info": sys.exc_info()})
    first, *traceback = FieldsFormatter().format(record).splitlines()
    assert first.endswith(" n lane\\x07")
    assert traceback[0] == "Traceback (most recent call last):"
    assert traceback[-1] == "ValueError: a\\x1b[2Jb"
