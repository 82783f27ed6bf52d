"""The preview of an import: counts and first rows, before anything is written."""

from __future__ import annotations

import msgspec
import pytest

from processor.core.messages import Scope
from processor.http.console.block_list import Preview, Staged


def _rows(content: bytes) -> list[tuple[int, object]]:
    staged = Staged("IM1", "", content)
    return list(staged.rows.of(staged.content.split(b"\n")))


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_a_file_is_read_as_what_it_is(bom: bytes) -> None:
    csv = bom + b"recipient,blocked\r\n+15551230001,true\r\n"
    assert _rows(csv) == [(2, {"recipient": "+15551230001", "blocked": "true"})]
    lines = bom + b'{"recipient": "+15551230001"}\n'
    assert _rows(lines) == [(1, {"recipient": "+15551230001"})]


def test_a_preview_counts_what_happens_and_shows_the_first_rows() -> None:
    found = Preview()
    for index in range(12):
        found.add({"recipient": f"+1555123{index:04}", "blocked": True, "scope": "account"})
    found.add({"recipient": "+15551240000", "blocked": False, "scope": "sender"})
    found.add({"recipient": "+15551240001", "blocked": False, "scope": "sender", "reason": "x"})
    assert (found.blocked, found.unblocked, found.unexplained) == (12, 2, 1)
    assert found.scopes == {Scope.ACCOUNT: 12, Scope.SENDER: 2}
    assert [one["recipient"] for one in found.first] == [f"+1555123{n:04}" for n in range(10)]


def test_a_staged_import_survives_its_way_through_a_form() -> None:
    staged = Staged("IM1", "asked by letter", b"recipient\n+1555\xff")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(staged), type=Staged) == staged
