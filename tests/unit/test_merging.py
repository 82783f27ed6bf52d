"""R18, R29, R30, R35: several causes of one block, and which command lifts which cause."""

from __future__ import annotations

import pytest

from processor.core.blocks import UNREADABLE, Block, Intents, SourceKind
from processor.core.decide import LOCKED, NO_REASON
from processor.core.events import BlockChange, ReplySend
from processor.core.fold import fold
from processor.core.merging import merged, union
from processor.core.messages import Arrival, Scope
from tests.builders import (
    ENTRY,
    MARK,
    NOW_MS,
    Decided,
    a_block,
    a_command,
    a_hit,
    a_place,
    a_source,
    commanded,
    decided,
)

KEYWORD, COMMAND, REVIEW = SourceKind.KEYWORD, SourceKind.COMMAND, SourceKind.REVIEW
LATER = Arrival(NOW_MS + 3_600_000)
OTP, MARKETING = frozenset({"otp"}), frozenset({"marketing"})


def kinds(decision: Decided) -> list[SourceKind]:
    """The causes of the only block."""
    (block,) = decision.blocks
    return [source.kind for source in block.sources]


def changes(decision: Decided) -> list[BlockChange]:
    return [event for event in decision.events if isinstance(event, BlockChange)]


# A second cause


def test_r18_a_command_after_a_stop_is_a_second_cause_and_in_the_history() -> None:
    decision = commanded(a_command(), (a_block(),))
    assert kinds(decision) == [KEYWORD, COMMAND]
    (change,) = changes(decision)
    assert (change.blocked, change.previous, change.cause.kind) == (True, True, None)
    assert change.block == decision.blocks[0]


def test_r18_a_stop_after_a_command_is_a_second_cause_and_is_answered() -> None:
    decision = decided("STOP", (a_block(kind=COMMAND),))
    assert kinds(decision) == [COMMAND, KEYWORD]
    assert [type(event).__name__ for event in decision.events] == [
        "BlockChange",
        "ReplySend",
        "OptOutNotification",
    ]


def test_r18_a_stop_that_widens_a_block_is_answered_again() -> None:
    limited = a_block(intents=Intents(only=MARKETING))
    decision = decided("STOP", (limited,))
    assert decision.blocks[0].intents == Intents()
    assert any(isinstance(event, ReplySend) for event in decision.events)


def test_r18_a_lock_after_a_stop_is_kept() -> None:
    lock = a_block(kind=COMMAND, locked=True)
    both = merged(a_block(), lock)
    assert both.locked
    stop = decided("STOP", (lock,))
    assert stop.blocks[0].locked
    assert kinds(stop) == [COMMAND, KEYWORD]


def test_r35_neither_the_recipient_nor_a_command_lifts_a_lock() -> None:
    locked = a_block(locked=True)
    start = decided("START", (locked,), arrival=LATER)
    assert start.blocks == (locked,)
    assert [type(event).__name__ for event in start.events] == ["OptOutNotification"]
    lift = commanded(a_command(blocked=False, arrival=LATER), (locked,))
    assert (lift.blocks, lift.refused) == ((locked,), LOCKED)


def test_r18_one_block_of_a_full_entry_keeps_the_causes_of_all_but_locked_ones() -> None:
    pairs = [a_place(Scope.SENDER, target=f"N{number}") for number in range(100)]
    full = (
        a_block(pairs[0], locked=True),
        a_block(pairs[1], COMMAND),
        *(a_block(place) for place in pairs[2:]),
    )
    stop = decided("STOP", full)
    assert [block.place for block in stop.blocks] == [pairs[0], a_place()]
    assert {source.kind for source in stop.blocks[1].sources} == {KEYWORD, COMMAND}
    locked = tuple(a_block(place, locked=True) for place in pairs)
    assert [block.place for block in decided("STOP", locked).blocks] == [*pairs, a_place()]


# Which command lifts which cause


def test_r30_undoing_a_review_lifts_only_what_the_review_made() -> None:
    review = a_command(source="review")
    both = commanded(review, (a_block(),))
    assert kinds(both) == [KEYWORD, REVIEW]
    undo = a_command(source="review", blocked=False, reason=None, arrival=LATER)
    undone = commanded(undo, both.blocks)
    assert kinds(undone) == [KEYWORD]
    (change,) = changes(undone)
    assert (change.blocked, change.previous) == (True, True)
    assert commanded(undo, commanded(review).blocks).blocks == ()
    assert commanded(undo, (a_block(),)) == Decided((a_block(),))


def test_r19_yes_lifts_the_recipients_own_cause_and_no_other() -> None:
    both = a_block(sources=(a_source(), a_source(COMMAND)))
    yes = decided("yes", (both,), arrival=LATER)
    assert kinds(yes) == [COMMAND]
    assert [type(event).__name__ for event in yes.events] == ["BlockChange", "OptOutNotification"]
    assert decided("START", (both,), arrival=LATER).blocks == ()


def test_r19_a_late_start_lifts_what_came_before_it_and_no_later_cause() -> None:
    early, late = a_source(since_ms=1), a_source(COMMAND, since_ms=NOW_MS)
    both = a_block(sources=(early, late))
    start = decided("START", (both,), arrival=Arrival(LATER.appended_ms, NOW_MS - 5_000))
    assert kinds(start) == [COMMAND]


def test_r19_a_late_start_does_not_lift_a_stop_that_was_said_again_since() -> None:
    """Blocked, START held back by the carrier, STOP again: the recipient wants nothing more."""
    first = a_block(since_ms=NOW_MS - 10_000)
    again = decided("STOP", (first,))
    start = decided("START", again.blocks, arrival=Arrival(LATER.appended_ms, NOW_MS - 5_000))
    assert start.blocks == again.blocks
    assert decided("START", again.blocks, arrival=LATER).blocks == ()


@pytest.mark.parametrize("reason", [None, "", "  "])
@pytest.mark.parametrize("kind", [KEYWORD, SourceKind.UNREAD_STOP, SourceKind.SIGNAL])
def test_r29_a_command_that_lifts_what_the_recipient_made_needs_a_reason(
    kind: SourceKind, reason: str | None
) -> None:
    block = a_block(kind=kind)
    lift = commanded(a_command(blocked=False, reason=reason, arrival=LATER), (block,))
    assert (lift.blocks, lift.events, lift.refused) == ((block,), (), NO_REASON)


def test_r29_a_command_that_lifts_what_a_command_made_needs_none() -> None:
    lift = a_command(blocked=False, reason=None, arrival=LATER)
    assert commanded(lift, (a_block(kind=COMMAND),)).blocks == ()
    assert commanded(lift, ()) == Decided(())


def test_r29_what_was_refused_for_want_of_a_reason_may_come_again_with_one() -> None:
    lift = a_command(blocked=False, reason=None, arrival=LATER)
    folded = fold([lift], {ENTRY: (a_block(),)}, set(), scope=Scope.ACCOUNT, mark=MARK)
    assert (folded.handled, list(folded.refused.values())) == ((), [NO_REASON])


def test_r25_an_entry_that_cannot_be_read_is_lifted_by_a_command_alone() -> None:
    start = decided("START", (UNREADABLE,), arrival=LATER)
    assert start.blocks == (UNREADABLE,)
    assert not any(isinstance(event, ReplySend) for event in start.events)
    assert commanded(a_command(blocked=False, arrival=LATER), (UNREADABLE,)).blocks == ()
    stop = decided("STOP", (UNREADABLE,))
    assert {*kinds(stop)} == {SourceKind.UNREADABLE, KEYWORD}


# The messages that a block stops


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (Intents(), Intents(), Intents()),
        (Intents(), Intents(only=OTP), Intents()),
        (Intents(), Intents(but=OTP), Intents()),
        (Intents(only=OTP), Intents(only=MARKETING), Intents(only=OTP | MARKETING)),
        (Intents(but=OTP), Intents(but=OTP | MARKETING), Intents(but=OTP)),
        (Intents(but=OTP), Intents(only=MARKETING), Intents(but=OTP)),
        (Intents(but=OTP), Intents(only=OTP), Intents()),
    ],
)
def test_r18_merged_blocks_stop_whatever_either_stops(
    one: Intents, other: Intents, both: Intents
) -> None:
    assert union(one, other) == union(other, one) == both


def test_r18_of_one_kind_the_first_cause_and_the_last_time_are_kept() -> None:
    first = a_block(sources=(a_source(since_ms=5, last_ms=6, change_id="first"),))
    again = a_block(sources=(a_source(since_ms=7, last_ms=9, change_id="again"),))
    both: Block = merged(again, first)
    assert both.sources == (a_source(since_ms=5, last_ms=9, change_id="first"),)


def test_a_stop_at_the_same_moment_takes_no_others_place() -> None:
    first = decided("STOP", message_sid="SM9")
    for number in range(5):
        again = decided("STOP", first.blocks, message_sid=f"SM{number}")
        assert again.blocks == first.blocks
        assert not changes(again)


def test_the_only_cause_of_a_batch_is_the_one_it_was_asked_for() -> None:
    folded = fold([a_hit("STOP"), a_command()], {}, frozenset(), scope=Scope.ACCOUNT, mark=MARK)
    (block,) = folded.changed[ENTRY]
    assert {source.kind for source in block.sources} == {KEYWORD, COMMAND}
    assert len({source.change_id for source in block.sources}) == 2
