"""The stalls that the design allows a partition, by cause."""

from __future__ import annotations

import time

import pytest

from tests.chaos.stalls import Harm, Judged, Longest, Stall, judged, longest
from tests.chaos.watch import Waiting


def a_stall(began: float, ended: float) -> Stall:
    return Stall("reply", 3, began, ended)


def a_harm(kind: str, began: float, over: float, *reachable: float, entries: int = 0) -> Harm:
    return Harm(kind, began, list(reachable), over, entries)


@pytest.mark.parametrize(
    ("harm", "ended", "excess_s"),
    [
        pytest.param(a_harm("broker killed", 10, 18, 18), 23, 0, id="5 s after the broker is back"),
        pytest.param(a_harm("broker killed", 10, 18, 18), 25, 2, id="and no longer"),
        pytest.param(a_harm("kill", 10, 40, 13), 18, 0, id="the session time-out and 5 s"),
        pytest.param(a_harm("kill", 10, 40, 13), 20, 2, id="not until another worker is started"),
        pytest.param(
            a_harm("Redis emptied", 10, 10, entries=200_000), 18, 1, id="a lost list is rebuilt"
        ),
        pytest.param(
            a_harm("Redis slow", 10, 10, entries=200_000), 18, 3, id="one that is there is not"
        ),
    ],
)
def test_a_fault_excuses_as_much_as_the_design_says(
    harm: Harm, ended: float, excess_s: float
) -> None:
    stall = a_stall(10.5, ended)
    after = harm.kind if excess_s else None
    assert judged([stall], [harm]) == [Judged(stall, (harm.kind,), excess_s, after)]


def test_a_frozen_worker_is_missed_and_later_costs_a_rebalance() -> None:
    frozen = a_harm("freeze", 10, 30, 13)
    stalls = [a_stall(10, 18), a_stall(20, 24), a_stall(30, 34)]
    assert {one.stall: one.excess_s for one in judged(stalls, [frozen])} == {
        stalls[0]: 0,
        stalls[1]: 4,
        stalls[2]: 0,
    }


def test_faults_beside_each_other_excuse_together_what_each_excuses() -> None:
    harms = [a_harm("kill", 0, 9, 3), a_harm("broker killed", 7, 12, 12)]
    [found] = judged([a_stall(2, 20)], harms)
    assert found == Judged(a_stall(2, 20), ("kill", "broker killed"), 3, "broker killed")
    assert found.is_too_long


def test_a_stall_is_blamed_on_the_fault_before_most_of_what_is_not_excused() -> None:
    harms = [a_harm("Redis emptied", 0, 0), a_harm("broker killed", 12, 13, 13)]
    [found] = judged([a_stall(1, 20)], harms)
    assert (found.excess_s, found.after) == (7 + 2, "Redis emptied")


def test_a_stall_beside_no_fault_is_too_long_from_a_second_on() -> None:
    harms = [a_harm("broker killed", 100, 110, 110)]
    found = judged([a_stall(10, 11.5), a_stall(20, 20.9)], harms)
    assert [(one.kinds, one.excess_s, one.is_too_long) for one in found] == [
        ((), 1.5, True),
        ((), pytest.approx(0.9), False),
    ]


def test_the_longest_stall_is_found_for_each_kind_of_fault() -> None:
    harms = [a_harm("kill", 0, 5, 3), a_harm("freeze", 7, 12, 10), a_harm("kill", 40, 45, 43)]
    stalls = [a_stall(6, 10), a_stall(40, 42), a_stall(60, 61.5)]
    assert longest(judged(stalls, harms)) == {
        "kill": Longest(of_all=4, alone=2),
        "freeze": Longest(of_all=4),
        "none": Longest(of_all=1.5, alone=1.5, excess=1.5),
    }


def test_a_partition_that_waits_for_more_than_a_second_stands_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def at(seconds: float) -> None:
        monkeypatch.setattr(time, "monotonic", lambda: seconds)

    waiting = Waiting("reply", 3)
    at(10)
    waiting.add("one")
    at(10.9)
    assert not waiting.stood_still_since(0)
    at(11.5)
    assert waiting.stood_still_since(0)
    waiting.done("one")
    assert waiting.stalls == [Stall("reply", 3, 10, 11.5)]
    assert waiting.stood_still_since(11)
    assert not waiting.stood_still_since(11.5)
