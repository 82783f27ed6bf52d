"""R25, R32, R33: late and faulty records between the lanes of a number and a user id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from processor.core import links
from processor.core.messages import ChannelGroup, MoveCommand
from processor.core.partitions import partition_of
from processor.stages import classify, items
from tests.builders import ACCOUNT, NOW_MS, a_command
from tests.match_lanes import PARTITIONS, TOPICS, MatchLanes
from tests.one_person import AT_NUMBER, ID, LINK, NUMBER, OTHER_NUMBER, entry, kinds, lanes

pytestmark = pytest.mark.usefixtures("readers")
MOVE = MoveCommand("CC2", ACCOUNT, NUMBER, OTHER_NUMBER, "api", None, NOW_MS)
A_DEFECT = KeyError("a defect that nobody has found yet")


async def two_stops(at: MatchLanes, first: str, second: str) -> int:
    """A STOP of each address, 20 s apart; the time between them."""
    at.text("stop", first)
    await at.settle()
    at.now_ms += 10_000
    between = at.now_ms
    at.now_ms += 10_000
    at.text("stop", second)
    await at.settle()
    return between


@pytest.mark.parametrize(
    ("command", "first", "second", "person"),
    [(LINK, NUMBER, ID, NUMBER), (MOVE, OTHER_NUMBER, NUMBER, OTHER_NUMBER)],
    ids=["linked", "moved"],
)
async def test_r32_a_start_said_before_the_later_of_two_merged_stops_lifts_nothing(
    command: Any, first: str, second: str, person: str
) -> None:
    at = lanes()
    between = await two_stops(at, first, second)
    at.command(command)
    await at.settle()
    at.now_ms += 10_000
    at.text("start", person, first_ms=between)
    await at.settle()
    assert kinds(await entry(at, person)) == ["keyword"]


async def test_r32_an_unblock_written_before_the_later_of_two_merged_stops_lifts_nothing() -> None:
    at = lanes()
    between = await two_stops(at, NUMBER, ID)
    at.text("hello", NUMBER, user_id=ID)
    await at.settle()
    unblock = a_command(
        recipient=NUMBER,
        channel_group=ChannelGroup.WHATSAPP,
        blocked=False,
        reason="asked by phone",
    )
    at.command(unblock, first_ms=between)
    await at.settle()
    assert kinds(await entry(at, NUMBER)) == ["keyword"]


def _in_the_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(*args: Any) -> Any:
        raise A_DEFECT

    monkeypatch.setattr(links, "_linked", raising)


def _while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    hit_of = items.hit_of

    def raising(one: Any, directory: Any, record: Any = None) -> Any:
        if record is not None and record.partition != AT_NUMBER:
            raise A_DEFECT
        return hit_of(one, directory, record)

    monkeypatch.setattr(classify, "hit_of", raising)


@pytest.mark.parametrize("fails", [_in_the_decision, _while_it_is_read])
async def test_r33_a_stop_at_fault_in_the_ids_lane_blocks_in_the_numbers(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[[pytest.MonkeyPatch], None]
) -> None:
    at = lanes()
    fails(monkeypatch)
    at.text("stop", NUMBER, user_id=ID)
    await at.settle()
    assert len(kinds(await entry(at, NUMBER))) == 1
    in_place = [
        partition_of((one.key or b"").rpartition(b":")[2], PARTITIONS) == one.partition
        for one in at.out
        if one.topic == TOPICS.block_list and one.partition is not None
    ]
    assert all(in_place)


async def test_r33_an_unreadable_stop_of_a_linked_id_is_one_dead_letter() -> None:
    at = lanes()
    at.command(LINK)
    await at.settle()
    at.text("stop", ID, to="no sender, as it has too many letters")
    await at.settle()
    assert kinds(await entry(at, NUMBER)) == ["unread-stop"]
    assert len([one for one in at.out if one.topic == TOPICS.dead_letters]) == 1
    assert at.counts["unread_stops"] == 1
