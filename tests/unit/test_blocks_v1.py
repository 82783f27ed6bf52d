"""Entries of block-list.v1, as a move converts them."""

from __future__ import annotations

import orjson
import pytest

from processor.core.blocks import Block, Mark, Source, SourceKind
from processor.core.messages import Scope
from processor.wire.blocks import write_entry
from processor.wire.blocks_v1 import entries_of
from tests.builders import ACCOUNT, LONG_CODE, NOW, NOW_MS, OTHER_ACCOUNT, RECIPIENT, SERVICE


@pytest.mark.parametrize(
    ("said", "scope", "target", "kind"),
    [
        ({"scope": "account"}, Scope.ACCOUNT, "", SourceKind.KEYWORD),
        (
            {"scope": "service", "messaging_service_sid": SERVICE, "source": "operator"},
            Scope.SERVICE,
            SERVICE,
            SourceKind.COMMAND,
        ),
        (
            {"scope": "sender", "sender": LONG_CODE, "source": "x", "change_id": "unread-1-2"},
            Scope.SENDER,
            LONG_CODE,
            SourceKind.UNREAD_STOP,
        ),
    ],
)
def test_a_block_has_one_cause_of_its_kind(
    said: dict[str, str], scope: Scope, target: str, kind: SourceKind
) -> None:
    fields = {"account_sid": ACCOUNT, "since": NOW, "change_id": "M1.a", "mark": "5-1"} | said
    source = Source(kind, fields["change_id"], NOW_MS, NOW_MS)
    block = Block(scope, target, False, (source,), Mark.parse("5-1"))
    entry = f"{ACCOUNT}/{RECIPIENT}"
    assert entries_of(RECIPIENT.encode(), orjson.dumps({"blocks": [fields]})) == [
        (entry.encode(), write_entry(entry, (block,)))
    ]


def test_each_account_has_an_entry_of_its_own_and_a_tombstone_none() -> None:
    blocks = [
        {"account_sid": sid, "scope": "account", "since": NOW, "change_id": "M1.a", "mark": "5-1"}
        for sid in (ACCOUNT, OTHER_ACCOUNT)
    ]
    found = entries_of(RECIPIENT.encode(), orjson.dumps({"blocks": blocks}))
    assert [key for key, _ in found] == [
        f"{sid}/{RECIPIENT}".encode() for sid in (ACCOUNT, OTHER_ACCOUNT)
    ]
    assert entries_of(RECIPIENT.encode(), None) == []
