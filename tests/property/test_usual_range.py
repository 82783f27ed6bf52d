"""When opt-outs an hour are an alarm, and when they are not."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.statistics.usual_range import LEAST, LEAST_HOURS, Usual, may_be_unusual, usual

_HOURS = 7 * 24
known = st.integers(LEAST_HOURS, _HOURS)
rates = st.integers(0, 5_000)


def _alarm(counts: Sequence[int], *, over: bool = True) -> str:
    """How the last hour compares with the hours before."""
    *before, count = counts
    found = usual(tuple(before))
    assert found is not None
    alarm = found.alarm(count, over=over) or ""
    assert not alarm or may_be_unusual(count, sum(before), len(before) + 1)
    return alarm


@given(rates, known)
def test_a_constant_rate_is_no_alarm(rate: int, hours: int) -> None:
    assert _alarm([rate] * (hours + 1)) == ""


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.69, 1.0, 1.68, 2.6, 5.0, 10.0, 40.0, 100.0])
def test_chance_alone_is_no_alarm(rate: float) -> None:
    counts, hour = [0] * 1_000, 0.0
    dice = random.Random(7)
    while (hour := hour + dice.expovariate(rate)) < 1_000:
        counts[int(hour)] += 1
    ends = range(LEAST_HOURS + 1, 1_000)
    assert [end for end in ends if _alarm(counts[max(0, end - _HOURS - 1) : end])] == []


@given(rates, known)
@example(0, LEAST_HOURS)
def test_a_jump_is_an_alarm_at_once(rate: int, hours: int) -> None:
    assert _alarm([rate] * hours + [3 * rate + 2 * LEAST], over=False) == "above"


@given(st.integers(70, 5_000), known)
def test_silence_of_a_busy_service_is_an_alarm_once_the_hour_is_over(rate: int, hours: int) -> None:
    counts = [rate] * hours + [0]
    assert _alarm(counts, over=True) == "below"
    assert _alarm(counts, over=False) == ""


@given(st.lists(st.integers(0, 200), min_size=LEAST_HOURS + 1, max_size=_HOURS))
@example([65] * LEAST_HOURS + [0])
@example([0] * 12 + [65] * 12 + [0])
def test_what_cannot_be_unusual_never_is(counts: list[int]) -> None:
    *before, count = counts
    found = usual(tuple(before))
    assert found is not None
    if not may_be_unusual(count, sum(before), len(before) + 1):
        assert found.alarm(count, over=True) is None


@given(st.lists(st.integers(0, LEAST - 1), min_size=LEAST_HOURS + 1, max_size=_HOURS))
def test_few_opt_outs_are_no_alarm(given: list[int]) -> None:
    assert _alarm(given) == ""


@given(rates, st.integers(0, 23))
def test_what_comes_at_the_same_hour_each_day_is_usual_after_three(peak: int, at: int) -> None:
    counts = [peak if hour % 24 == at else 0 for hour in range(_HOURS)]
    assert [day for day in range(3, 7) if _alarm(counts[: 24 * day + at + 1])] == []


@given(rates, known)
def test_one_wild_hour_does_not_widen_the_range(rate: int, hours: int) -> None:
    steady = (rate,) * hours
    assert usual((*steady[1:], 1_000_000)) == usual(steady)


@given(st.integers(0, LEAST_HOURS - 1))
def test_a_new_service_has_no_usual_range(hours: int) -> None:
    assert usual((1_000_000,) * hours) is None


def test_the_range_is_eight_roots_of_a_steady_rate_to_either_side() -> None:
    assert usual((99,) * 48) == Usual(19.0, 179.0)


def test_a_service_with_busy_days_and_quiet_nights_has_a_wider_one() -> None:
    found = usual((98, 2) * 24)
    assert found is not None
    assert (found.least, round(found.most)) == (0.0, round(50 + 5 * 1.4826 * 48))
