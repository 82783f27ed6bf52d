from __future__ import annotations

import pytest

from processor.kafka.lanes.position_rules import (
    Cause,
    Log,
    NewerNote,
    Position,
    diverged,
    doubt,
    position_of,
)

ID, OTHER_ID = "6f1d6f6e-0000-4000-8000-000000000001", "6f1d6f6e-0000-4000-8000-000000000002"


def a_log(start: int = 0, end: int = 10, epoch_end: int | None = None) -> Log:
    return Log(ID, start, end, epoch_end)


@pytest.mark.parametrize(
    ("position", "log", "has_outputs", "cause"),
    [
        (Position(5, ID, 3), a_log(epoch_end=10), True, None),
        (Position(10, ID, 3), a_log(epoch_end=10), True, None),  # caught up
        (Position(5, ID, 3), a_log(epoch_end=5), True, None),  # a new leader took over just there
        (Position(5, ID, None), a_log(), True, None),  # nothing has been read yet
        (Position(5), a_log(), True, None),  # set by other tools
        (None, a_log(), False, None),  # the group is new
        (None, a_log(4, 4), True, None),  # there is nothing to handle again
        (None, a_log(), True, Cause.NEVER_COMMITTED),
        (Position(5, OTHER_ID, 3), a_log(), True, Cause.OTHER_TOPIC),
        (Position(5, OTHER_ID), a_log(5, 5), True, Cause.OTHER_TOPIC),
        (Position(5, ID, 3), a_log(start=6), True, Cause.BELOW_START),
        (Position(5), a_log(start=6), True, Cause.BELOW_START),
        (Position(11, ID, 3), a_log(epoch_end=10), True, Cause.BEYOND_END),
        (Position(11), a_log(), True, Cause.BEYOND_END),
        (Position(5, ID, 3), a_log(epoch_end=4), True, Cause.DIVERGED),
        (Position(5, ID, 3), a_log(epoch_end=-1), True, Cause.DIVERGED),
        (Position(5, ID, 3, "0,2", 9), a_log(epoch_end=9), True, None),
        (Position(5, ID, 3, "0,2", 9), a_log(epoch_end=8), True, Cause.DIVERGED),
        (Position(5, ID, 3, "0,2", 9), a_log(end=8), True, Cause.BEYOND_END),
    ],
)
def test_a_position_is_believed_only_of_the_log_that_was_read_up_to_it(
    position: Position | None, log: Log, has_outputs: bool, cause: Cause | None
) -> None:
    doubted = doubt(position, log, has_outputs=has_outputs)
    assert (doubted.cause if doubted else None) == cause


@pytest.mark.parametrize(
    "position",
    [
        Position(5, ID, 3, "2 17-4"),
        Position(5, ID, 0, ""),
        Position(5, ID, 3, "0,2", 9),
        Position(5, ID, None, "1,2,1,1"),
        Position(5, None, None, "with spaces in it"),
        Position(5, ID, 3, "2 17-4", 9, "match-shared-0a1b"),
    ],
)
def test_a_note_says_what_it_was_made_of(position: Position) -> None:
    assert position_of(position.offset, position.note) == position


@pytest.mark.parametrize(
    "note",
    ["", "2 17-4", "moved by hand", "x y z w", "2", "2 a", "2 a b", "2 a b c d e", "1 a 3 4 d"],
)
def test_of_a_foreign_note_nothing_is_kept(note: str) -> None:
    assert position_of(5, note) == Position(5)


def test_a_newer_note_is_not_read_as_anything_else() -> None:
    with pytest.raises(NewerNote):
        position_of(5, f"3 {ID} 3 9 - ")


def test_a_record_that_is_read_again_under_an_older_epoch_is_not_the_furthest() -> None:
    """A lane that goes on from 364 reads again what is before 595, where epoch 9 began at 551."""
    taken = Position(364, ID, 9, read_to=595)
    again = taken.read_on(380, 8)
    assert (again.offset, again.furthest, again.leader_epoch) == (380, 595, 9)
    assert diverged(again, 600) is None
    assert again.read_on(600, 10) == Position(600, ID, 10, read_to=595)
    assert taken.read_on(364, None) == taken
    assert Position(0, ID).read_on(5, 2).leader_epoch == 2
    assert Position(0, ID).read_on(0, None).leader_epoch is None
