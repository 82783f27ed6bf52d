"""A recipient's blocks in Redis and in block-list.v1."""

from __future__ import annotations

import json

import orjson
import pytest
from pydantic import ValidationError

from processor.core.blocks import Blocks
from processor.core.messages import Scope
from processor.wire.blocks import pack, read_entry, unpack, write_entry
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    OTHER_ACCOUNT,
    RECIPIENT,
    SERVICE,
    TOLL_FREE,
    WHATSAPP_RECIPIENT,
    a_block,
    a_place,
)

BLOCKS: Blocks = (
    a_block(),
    a_block(a_place(account_sid=OTHER_ACCOUNT)),
    a_block(a_place(Scope.SERVICE)),
    a_block(a_place(Scope.SENDER)),
    a_block(a_place(Scope.SENDER, target="Clinic + 1")),
    a_block(a_place(Scope.SENDER, target=TOLL_FREE, carrier=True)),
    a_block(a_place(Scope.SENDER), by_keyword=False),
)


@pytest.mark.parametrize("blocks", [(), *[(block,) for block in BLOCKS], BLOCKS])
def test_what_redis_holds_is_read_as_it_was_written(blocks: Blocks) -> None:
    assert unpack(pack(blocks)) == blocks


def test_no_value_in_redis_is_no_block() -> None:
    assert unpack(None) == ()


def test_the_form_in_redis_is_compact() -> None:
    assert orjson.loads(pack(BLOCKS[2:4])) == [
        ["m", ACCOUNT, SERVICE, *rest_of(2)],
        ["s", ACCOUNT, LONG_CODE, *rest_of(3)],
    ]


def rest_of(index: int) -> list[object]:
    block = BLOCKS[index]
    return [block.since_ms, block.change_id, str(block.mark)]


@pytest.mark.parametrize("blocks", [*[(block,) for block in BLOCKS], BLOCKS])
@pytest.mark.parametrize("key", [RECIPIENT, WHATSAPP_RECIPIENT])
def test_an_entry_is_read_as_it_was_written(key: str, blocks: Blocks) -> None:
    value = write_entry(key, blocks)
    assert value is not None
    assert read_entry(value) == blocks


def test_an_entry_names_its_recipient_its_group_and_every_place() -> None:
    value = write_entry(WHATSAPP_RECIPIENT, BLOCKS[5:6])
    assert value is not None
    assert json.loads(value) == {
        "recipient": RECIPIENT,
        "channel_group": "whatsapp",
        "blocks": [
            {
                "account_sid": ACCOUNT,
                "scope": "sender",
                "messaging_service_sid": None,
                "sender": TOLL_FREE,
                "carrier": True,
                "since": "2026-11-02T11:59:00.000Z",
                "change_id": "SM000000000000000000000000000000ff.carrier",
                "mark": "1793620000000-1",
                "source": "keyword",
            }
        ],
    }


def test_an_entry_without_blocks_is_a_tombstone() -> None:
    assert write_entry(RECIPIENT, ()) is None


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"recipient": "+15557654321"}'])
def test_what_is_no_entry_is_refused(value: bytes) -> None:
    with pytest.raises(ValidationError):
        read_entry(value)
