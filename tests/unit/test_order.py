"""R19, R23, R41: the order of events by the broker's clock alone."""

from __future__ import annotations

import pytest

from processor.core.blocks import SourceKind
from processor.core.events import OptOutNotification, ReplySent
from processor.core.messages import Arrival
from processor.core.order import said_ms
from tests.builders import (
    NOW_MS,
    a_block,
    a_command,
    commanded,
    decided,
)

HOUR_MS = 3_600_000
LATER = Arrival(NOW_MS + HOUR_MS)


@pytest.mark.parametrize(
    ("arrival", "carrier_ms", "said"),
    [
        (Arrival(NOW_MS), None, None),
        (Arrival(NOW_MS), NOW_MS - HOUR_MS, None),
        (Arrival(NOW_MS), NOW_MS - HOUR_MS - 1, NOW_MS - HOUR_MS - 1),
        (Arrival(NOW_MS), NOW_MS + HOUR_MS, None),
        (Arrival(NOW_MS, NOW_MS - 5), None, NOW_MS - 5),
        (Arrival(NOW_MS, NOW_MS - 5), NOW_MS - HOUR_MS, NOW_MS - 5),
        (Arrival(NOW_MS, NOW_MS - 5), 0, 0),
        (Arrival(NOW_MS, NOW_MS + 5), None, None),  # a forged header makes nothing later
    ],
)
def test_r19_late_is_what_was_first_appended_earlier_or_held_back_by_the_carrier(
    arrival: Arrival, carrier_ms: int | None, said: int | None
) -> None:
    assert said_ms(arrival, carrier_ms) == said


@pytest.mark.parametrize(
    ("first_ms", "lifted"),
    [(None, True), (NOW_MS - 1, False), (NOW_MS, True), (NOW_MS + 1, True)],
)
def test_r19_a_late_start_lifts_only_what_was_blocked_before_it(
    first_ms: int | None, lifted: bool
) -> None:
    block = a_block(since_ms=NOW_MS)
    start = decided("START", (block,), arrival=Arrival(LATER.appended_ms, first_ms))
    assert start.blocks == (() if lifted else (block,))
    (told,) = [event for event in start.events if isinstance(event, OptOutNotification)]
    expected = (True, ReplySent.AOO) if lifted else (False, ReplySent.NONE)
    assert (told.effective, told.reply_sent) == expected


def test_r19_offsets_and_no_clock_are_the_order_of_messages_that_came_as_they_were_said() -> None:
    """A broker whose clock was ahead led the partition for a while: nobody is locked out."""
    block = a_block(since_ms=NOW_MS + 2 * HOUR_MS)
    assert decided("START", (block,), arrival=Arrival(NOW_MS)).blocks == ()


@pytest.mark.parametrize(("after_ms", "lifted"), [(-5_000, False), (1_000, False), (1_001, True)])
def test_r23_an_operators_block_within_a_second_of_a_start_stands(
    after_ms: int, lifted: bool
) -> None:
    block = a_block(since_ms=NOW_MS, kind=SourceKind.COMMAND)
    start = decided("START", (block,), arrival=Arrival(NOW_MS + after_ms))
    assert start.blocks == (() if lifted else (block,))


@pytest.mark.parametrize(("after_ms", "lifted"), [(-5_000, False), (1_000, False), (1_001, True)])
def test_r23_a_stop_within_a_second_of_an_operators_lift_stands(
    after_ms: int, lifted: bool
) -> None:
    block = a_block(since_ms=NOW_MS)
    lift = a_command(blocked=False, arrival=Arrival(NOW_MS + after_ms))
    assert commanded(lift, (block,)).blocks == (() if lifted else (block,))


def test_r23_commands_follow_their_offsets_but_a_late_one_lifts_nothing_later() -> None:
    block = a_block(since_ms=NOW_MS, kind=SourceKind.COMMAND)
    assert commanded(a_command(blocked=False, arrival=Arrival(NOW_MS)), (block,)).blocks == ()
    late = a_command(blocked=False, arrival=Arrival(NOW_MS + HOUR_MS, NOW_MS - 1))
    assert commanded(late, (block,)).blocks == (block,)


def test_r19_yes_lifts_only_blocks_made_by_keywords() -> None:
    block = a_block(kind=SourceKind.COMMAND)
    yes = decided("yes", (block,), arrival=LATER)
    assert yes.blocks == (block,)
    assert [type(event).__name__ for event in yes.events] == ["OptOutNotification"]
    assert decided("start", (block,), arrival=LATER).blocks == ()


def test_r41_a_change_is_of_the_time_its_record_was_appended() -> None:
    (block,) = decided("STOP", arrival=Arrival(NOW_MS + 7, NOW_MS - 7), received_at_ms=0).blocks
    assert block.since_ms == NOW_MS + 7
    (block,) = commanded(a_command(claimed_ms=0, arrival=Arrival(NOW_MS + 7))).blocks
    assert block.since_ms == NOW_MS + 7
