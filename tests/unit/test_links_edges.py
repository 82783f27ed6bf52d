"""R18, R32: links of full and unreadable entries, and records of other people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from processor.core.blocks import UNREADABLE, Block, Mark, Names, Source, SourceKind, stops
from processor.core.fold import on_its_way
from processor.core.links import Step, Way, joined
from processor.core.messages import LinkCommand, Scope
from processor.errors import RecordError
from processor.kafka.fetched import FetchedRecord
from processor.wire.blocks import link_in, listed, pack
from processor.wire.headers import WAY
from processor.wire.ways import checked, header_of, is_in_place
from processor.wire.webhooks_made import runs_of
from tests.builders import ACCOUNT, NOW_MS, RECIPIENT

ID = "US.1"
ASK = Way(Step.ASK, ID, RECIPIENT)


def a_block(number: int, *, carrier: bool = False) -> Block:
    source = Source(SourceKind.KEYWORD, f"c{number}", 1, 1)
    return Block(Scope.SENDER, f"+1800{number:07}", carrier, (source,), Mark(1, 1))


def merged_entries(blocks: Sequence[Block]) -> list[Block]:
    """An entry with the first half of some blocks, once the second half is merged into it."""
    half = len(blocks) // 2
    entry = {one.place: one for one in blocks[:half]}
    for place, block in joined(dict(entry), blocks[half:], Mark(1, 2)):
        entry.pop(place, None)
        if block is not None:
            entry[place] = block
    return list(entry.values())


def test_r18_two_entries_that_do_not_fit_into_one_become_a_block_of_the_account() -> None:
    [account] = merged_entries([*map(a_block, range(120))])
    assert account.scope is Scope.ACCOUNT
    assert stops(account, service_sid=None, sender="+18000000001")


def test_r18_what_finds_no_room_is_covered_by_a_block_of_the_account() -> None:
    entry = merged_entries([a_block(number, carrier=True) for number in range(120)])
    assert len(entry) <= 100
    for number in range(120):
        sender = f"+1800{number:07}"
        assert any(stops(one, service_sid=None, sender=sender) for one in entry)


def test_an_entry_that_cannot_be_read_is_listed_as_a_block_and_points_nowhere() -> None:
    assert listed(b"{") == (UNREADABLE,)
    assert link_in(b'{"}]') is None


def test_the_entry_of_a_linked_user_id_is_listed_without_blocks() -> None:
    blocks = (a_block(1),)
    assert listed(None) == ()
    assert listed(pack(blocks)) == blocks
    assert listed(pack(blocks, Names(link=RECIPIENT))) == ()
    assert link_in(pack(blocks, Names(link=RECIPIENT))) == RECIPIENT


def test_r32_a_record_on_the_way_of_two_other_addresses_is_refused() -> None:
    with pytest.raises(RecordError, match="header"):
        checked(ASK, RECIPIENT, "US.2")
    assert checked(ASK, ID, RECIPIENT) == ASK
    assert checked(None, RECIPIENT) is None


@pytest.mark.parametrize(
    ("key", "headers", "is_there"),
    [
        (RECIPIENT, [], True),
        (ID, [], False),
        (ID, [header_of(ASK)], True),
        (RECIPIENT, [header_of(ASK)], False),
        (RECIPIENT, [(WAY, b"{")], False),
    ],
)
def test_r32_a_record_is_in_place_with_the_key_of_the_entry_that_decides(
    key: str, headers: list[tuple[str, bytes]], is_there: bool
) -> None:
    record = FetchedRecord("t", 0, 1, NOW_MS, 1, key.encode(), b"", tuple(headers))
    assert is_in_place(record, RECIPIENT) is is_there


def test_r32_a_command_goes_on_with_its_way() -> None:
    link = LinkCommand("CC1", ACCOUNT, ID, RECIPIENT, "api", None, NOW_MS)
    assert on_its_way(link, ASK) == replace(link, way=ASK)


def test_r28_offsets_that_follow_each_other_are_one_run() -> None:
    assert runs_of([7, 3, 5, 4]) == [(3, 6), (7, 8)]
