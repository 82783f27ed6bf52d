"""An entry of the block list in Redis and in block-list.v2."""

from __future__ import annotations

import json

import orjson
import pytest
from pydantic import ValidationError

from processor.core.blocks import UNREADABLE, Blocks, Intents, Names, SourceKind, Stored
from processor.core.messages import Scope
from processor.errors import UnreadableEntry
from processor.wire.blocks import (
    is_newer,
    pack,
    read_entry,
    read_stored,
    readable,
    stored_in,
    unpack,
    write_entry,
)
from tests.builders import (
    ACCOUNT,
    ENTRY,
    LONG_CODE,
    RECIPIENT,
    SERVICE,
    TOLL_FREE,
    WHATSAPP_RECIPIENT,
    a_block,
    a_place,
    a_source,
)

WHATSAPP_ENTRY = f"{ACCOUNT}/{WHATSAPP_RECIPIENT}"

BLOCKS: Blocks = (
    a_block(),
    a_block(a_place(Scope.SERVICE)),
    a_block(a_place(Scope.SENDER)),
    a_block(a_place(Scope.SENDER, target="Clinic + 1")),
    a_block(a_place(Scope.SENDER, target=TOLL_FREE, carrier=True)),
    a_block(a_place(Scope.SENDER), SourceKind.COMMAND),
    a_block(
        a_place(Scope.SERVICE),
        intents=Intents(only=frozenset({"marketing", "alerts"})),
        locked=True,
        sources=(
            a_source(SourceKind.SIGNAL, since_ms=1),
            a_source(since_ms=2, last_ms=3),
            a_source(SourceKind.REVIEW, since_ms=4),
        ),
    ),
    a_block(intents=Intents(but=frozenset({"otp"}))),
    UNREADABLE,
)


@pytest.mark.parametrize("blocks", [*[(block,) for block in BLOCKS], BLOCKS])
def test_what_redis_holds_is_read_as_it_was_written(blocks: Blocks) -> None:
    assert unpack(pack(blocks)) == blocks


@pytest.mark.parametrize("blocks", [(), BLOCKS])
@pytest.mark.parametrize("names", [Names(link=RECIPIENT), Names(ids=("US.1", "US.ENT.2"))])
def test_r32_an_entry_keeps_the_other_addresses_of_its_person(blocks: Blocks, names: Names) -> None:
    assert stored_in(pack(blocks, names)) == Stored(blocks, names)
    value = write_entry(WHATSAPP_ENTRY, blocks, names)
    assert value is not None
    assert read_stored(value) == Stored(blocks, names)


def test_no_value_in_redis_is_no_block() -> None:
    assert unpack(None) == ()


def test_the_form_in_redis_is_compact() -> None:
    service, sender = BLOCKS[1:3]
    assert orjson.loads(pack((service, sender))) == [
        2,
        ["m" + SERVICE, "1793620000000-1", "k" + service.change_id, service.since_ms],
        ["s" + LONG_CODE, "1793620000000-1", "k" + sender.change_id, sender.since_ms],
    ]
    id_ = BLOCKS[6].change_id
    assert orjson.loads(pack(BLOCKS[6:7]))[1][2:] == [
        *("s" + id_, 1),
        *("k" + id_, 2, 3),
        *("r" + id_, 4),
        {"only": ["alerts", "marketing"], "but": [], "locked": True},
    ]


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"[", b"null", b"17", b"{}", b"[]", b"[2]", b"[3]", b"[2,[]]", b'[2,["a"]]'),
        *(b'[3,["a","1-1","kSM1.a.x",1]]', b'[2,["z","1-1","kSM1.a.x",1]]', b"\xff"),
        *(b'[2,["a","1-1","zSM1.a.x",1]]', b'[2,["a","1-1"]]', b'[2,["a","1-1","kSM1.a.x"]]'),
        *(b'[2,["a","1","kSM1.a.x",1]]', b'[["a","AC1","",1,"SM1.account","1-1"]]'),
        *(b'[2,["ax","1-1","kSM1.a.x",1]]', b'[2,["s","1-1","kSM1.a.x",1]]'),
        *(b'[2,[null,"1-1","kSM1.a.x",1]]', b'[2,["a",5,"kSM1.a.x",1]]', b'[2,["a","1-1",7,1]]'),
        *(b'[2,["a","1-1","kx","y"]]', b'[2,["a","1-1","kx",1e300]]', b'[2,["a","1-1","kx",1,-1]]'),
        *(b'[2,{"ids":[]}]', b'[2,{"link":"x"}]', b'[2,{"link":"US.1","ids":["US.2"]}]', b"[2,{}]"),
        *(b'[2,["a","1-1","kx",true]]', b'[2,["a","1-1","kx",1,{}]]', b'[2,["a","1-1","",1]]'),
    ],
)
def test_r25_what_cannot_be_read_in_redis_blocks(value: bytes) -> None:
    with pytest.raises(UnreadableEntry):
        unpack(value)
    assert readable(value) == (UNREADABLE,)


@pytest.mark.parametrize("blocks", [*[(block,) for block in BLOCKS], BLOCKS])
@pytest.mark.parametrize("key", [ENTRY, WHATSAPP_ENTRY])
def test_an_entry_is_read_as_it_was_written(key: str, blocks: Blocks) -> None:
    value = write_entry(key, blocks)
    assert value is not None
    assert read_entry(value) == blocks


def test_an_entry_names_its_recipient_its_group_and_every_place() -> None:
    value = write_entry(WHATSAPP_ENTRY, BLOCKS[4:5])
    assert value is not None
    (source,) = BLOCKS[4].sources
    assert json.loads(value) == {
        "schema_version": 2,
        "account_sid": ACCOUNT,
        "recipient": RECIPIENT,
        "channel_group": "whatsapp",
        "blocks": [
            {
                "scope": "sender",
                "messaging_service_sid": None,
                "sender": TOLL_FREE,
                "carrier": True,
                "mark": "1793620000000-1",
                "sources": [
                    {
                        "kind": "keyword",
                        "change_id": source.change_id,
                        "since": "2026-11-02T11:59:00.000Z",
                        "last": "2026-11-02T11:59:00.000Z",
                    }
                ],
                "only": None,
                "but": [],
                "locked": False,
            }
        ],
    }


def test_an_entry_without_blocks_is_a_tombstone() -> None:
    assert write_entry(ENTRY, ()) is None


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"recipient": "+15557654321"}'])
def test_what_is_no_entry_is_refused(value: bytes) -> None:
    with pytest.raises(ValidationError):
        read_entry(value)


@pytest.mark.parametrize(
    ("value", "newer"),
    [
        (b'{"schema_version": 3}', True),
        (b'{"schema_version": 2}', False),
        (b'{"schema_version": "3"}', False),
        (b"{}", False),
        (b"[]", False),
        (b"\xff", False),
    ],
)
def test_a_newer_versions_entry_is_told_from_a_broken_one(value: bytes, newer: bool) -> None:
    assert is_newer(value) is newer
