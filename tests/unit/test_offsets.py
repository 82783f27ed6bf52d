"""Offsets committed for records that finish out of order, and repeats after a restart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processor.kafka.lanes.finished_offsets import Offsets


def in_hand(*offsets: int, done: tuple[int, ...] = ()) -> Offsets:
    made = Offsets(offsets[0])
    for offset in offsets:
        assert made.begin(offset)
    for offset in done:
        made.finish(offset)
    return made


def test_the_lowest_that_is_not_done_is_committed() -> None:
    assert in_hand(5, 6, 7).committed == 5
    assert in_hand(5, 6, 7, done=(6,)).committed == 5
    assert in_hand(5, 6, 7, done=(6, 5)).committed == 7
    assert in_hand(5, 6, 9, done=(6, 5, 9)).committed == 10


def test_the_note_tells_what_is_done_behind_it() -> None:
    assert in_hand(5, 6, 7, 8, 9, done=(6, 7, 9)).note() == "1,2,1,1"
    assert in_hand(5, 6, done=(5, 6)).note() == ""
    assert in_hand(5, 6).note() == ""


def test_a_transactions_end_is_no_record() -> None:
    made = in_hand(5, done=(5,))
    made.advance(7)
    assert (made.committed, made.note()) == (7, "")


@given(st.integers(0, 1 << 40), st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=60))
def test_a_restart_repeats_what_was_not_done_and_nothing_else(
    first: int, steps: list[tuple[int, bool]]
) -> None:
    before, offset, records, done = Offsets(first), first, [], set()
    for step, is_done in steps:
        offset += step
        records.append(offset)
        assert before.begin(offset)
        if is_done:
            before.finish(offset)
            done.add(offset)
    after = Offsets(before.committed, before.note())
    read_again = [one for one in records if one >= before.committed]
    assert [one for one in read_again if after.begin(one)] == [
        one for one in records if one not in done
    ]


def test_a_note_that_would_be_too_long_ends_early_and_what_it_leaves_out_is_repeated() -> None:
    offsets = range(1 << 40, (1 << 40) + 20_000)
    before = in_hand(*offsets, done=tuple(offsets[1::2]))
    note = before.note()
    assert 3_900 < len(note) <= 4_000
    after = Offsets(before.committed, note)
    repeated = [one for one in offsets if after.begin(one)]
    assert set(offsets[::2]) <= set(repeated)
    assert len(repeated) < len(offsets)
