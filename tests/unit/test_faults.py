"""Faulty records are found and put aside; a server's failure is not blamed on a record."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.errors import RecordError, StoreUnavailable, TooManyFaults
from processor.kafka.lanes.fault_limit import Faults
from processor.stages.faults import place_of, reason_of, separate


def failing(is_bad: Callable[[Sequence[int]], bool]) -> Callable[[Sequence[int]], list[int]]:
    def attempt(items: Sequence[int]) -> list[int]:
        if is_bad(items):
            raise ValueError("+15551234567")
        return list(items)

    return attempt


@given(st.integers(0, 200), st.sets(st.integers(0, 199)))
def test_each_item_at_fault_is_found_and_the_others_are_done_in_order(
    count: int, bad: set[int]
) -> None:
    items = range(count)
    done, faults = separate(items, failing(lambda part: not bad.isdisjoint(part)))
    assert done == [one for one in items if one not in bad]
    assert [one for one, _ in faults] == sorted(bad & set(items))


@given(st.integers(0, 200), st.integers(1, 50))
def test_items_that_only_fail_together_are_found_too(count: int, most: int) -> None:
    """As with an entry that grows too large: the last that fit stay."""
    items = range(count)
    done, faults = separate(items, failing(lambda part: len(part) > most))
    assert done == list(items[:most])
    assert [one for one, _ in faults] == list(items[most:])


def test_halving_costs_no_more_than_the_batch_times_its_logarithm() -> None:
    worked = 0

    def attempt(items: Sequence[int]) -> None:
        nonlocal worked
        worked += len(items)
        if 700 in items:
            raise ValueError

    separate(range(1_024), attempt)
    assert worked <= 1_024 * 12


@pytest.mark.parametrize("error", [StoreUnavailable("Redis"), OSError(), MemoryError()])
def test_a_servers_or_the_machines_failure_is_no_records_fault(error: Exception) -> None:
    def attempt(items: Sequence[int]) -> None:
        raise error

    with pytest.raises(type(error)):
        separate([1, 2], attempt)


def test_a_reason_says_what_to_do_and_nothing_of_the_record() -> None:
    _, [(_, error)] = separate([1], failing(bool))
    assert reason_of(error) == ("unexpected ValueError while it was decided on: please report it")
    assert reason_of(RecordError("too large")) == "too large"
    assert place_of(error).startswith("test_faults.py:")


def test_more_than_ten_in_a_thousand_are_a_defect() -> None:
    faults = Faults()
    for _ in range(3):
        faults.check(10_000, 100)
        faults.add(10_000, 100)
    with pytest.raises(TooManyFaults, match="more than 10 of 1,000"):
        faults.check(1_000, 11)
    Faults().check(1, 1)
    with pytest.raises(TooManyFaults):
        Faults().check(11, 11)
