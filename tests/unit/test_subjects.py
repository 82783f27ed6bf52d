"""The subject of a history record, and records without a subject."""

from __future__ import annotations

from pathlib import Path

import pytest

from processor.errors import RecordError
from processor.wire import subjects
from processor.wire.record_index import About

_EXAMPLES = Path("schemas/examples")
_BLOCK_CHANGES = sorted(_EXAMPLES.glob("block-changes.v1/*.json"))
_CONFIGURATION_CHANGES = sorted(_EXAMPLES.glob("configuration-changes.v1/*.json"))


@pytest.mark.parametrize("path", _BLOCK_CHANGES, ids=lambda one: one.stem)
def test_a_block_change_is_about_a_number_and_an_account(path: Path) -> None:
    found = subjects.of_block_change(b"+15557654321", path.read_bytes())
    assert found == About("+15557654321", f"AC{1:032x}")


@pytest.mark.parametrize("path", _CONFIGURATION_CHANGES, ids=lambda one: one.stem)
def test_a_configuration_change_is_about_an_account(path: Path) -> None:
    assert subjects.of_configuration_change(b"MG1", path.read_bytes()) == About(f"AC{1:032x}")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "not JSON"),
        (b"STOP +15557654321", "not JSON"),
        (b"[]", "account_sid: must be a string"),
        (b'{"account_sid": ["AC1"]}', "account_sid: must be a string"),
    ],
)
def test_what_is_no_change_is_refused_and_not_quoted(value: bytes | None, why: str) -> None:
    for read in (subjects.of_block_change, subjects.of_configuration_change):
        with pytest.raises(RecordError) as refused:
            read(b"+15557654321", value)
        assert str(refused.value) == why


def test_a_key_that_is_no_text_is_refused() -> None:
    with pytest.raises(RecordError, match=r"^key: not UTF-8$"):
        subjects.of_block_change(b"\xff", b'{"account_sid": "AC1"}')
