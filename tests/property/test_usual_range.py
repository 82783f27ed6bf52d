"""When opt-outs an hour are an alarm, and when they are not."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.core.usual_range import LEAST, LEAST_HOURS, Usual, usual

_HOURS = 7 * 24
known = st.integers(LEAST_HOURS, _HOURS)
rates = st.integers(0, 5_000)


def _alarm(counts: dict[int, int], hour: int, first_hour: int = 0, *, over: bool = True) -> str:
    found = usual(counts, hour, first_hour)
    assert found is not None
    return found.alarm(counts.get(hour, 0), over=over) or ""


@given(rates, known)
def test_a_constant_rate_is_no_alarm(rate: int, hours: int) -> None:
    assert _alarm(dict.fromkeys(range(hours + 1), rate), hours) == ""


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.69, 1.0, 1.68, 2.6, 5.0, 10.0, 40.0, 100.0])
def test_chance_alone_is_no_alarm(rate: float) -> None:
    counts, hour = Counter[int](), 0.0
    dice = random.Random(7)
    while (hour := hour + dice.expovariate(rate)) < 1_000:
        counts[int(hour)] += 1
    assert [at for at in range(_HOURS, 1_000) if _alarm(counts, at, at - _HOURS)] == []
    first_week = range(LEAST_HOURS, _HOURS)
    assert [at for at in first_week if _alarm(counts, at)] == []


@given(rates, known)
@example(0, LEAST_HOURS)
def test_a_jump_is_an_alarm_at_once(rate: int, hours: int) -> None:
    counts = dict.fromkeys(range(hours), rate) | {hours: 3 * rate + 2 * LEAST}
    assert _alarm(counts, hours, over=False) == "above"


@given(st.integers(70, 5_000), known)
def test_silence_of_a_busy_service_is_an_alarm_once_the_hour_is_over(rate: int, hours: int) -> None:
    counts = dict.fromkeys(range(hours), rate)
    assert _alarm(counts, hours, over=True) == "below"
    assert _alarm(counts, hours, over=False) == ""


@given(st.lists(st.integers(0, LEAST - 1), min_size=LEAST_HOURS + 1, max_size=_HOURS))
def test_few_opt_outs_are_no_alarm(given: list[int]) -> None:
    counts = dict(enumerate(given))
    assert _alarm(counts, len(given) - 1) == ""


@given(rates, st.integers(0, 23))
def test_what_comes_at_the_same_hour_each_day_is_usual_after_three(peak: int, at: int) -> None:
    counts = {24 * day + at: peak for day in range(7)}
    assert [day for day in range(3, 7) if _alarm(counts, 24 * day + at)] == []


@given(rates, known)
def test_one_wild_hour_does_not_widen_the_range(rate: int, hours: int) -> None:
    steady = dict.fromkeys(range(hours), rate)
    wild = steady | {hours - 1: 1_000_000}
    assert usual(wild, hours, 0) == usual(steady, hours, 0)


@given(st.integers(0, LEAST_HOURS - 1))
def test_a_new_service_has_no_usual_range(hours: int) -> None:
    assert usual({hours: 1_000_000}, 100 + hours, 100) is None


def test_the_range_is_eight_roots_of_a_steady_rate_to_either_side() -> None:
    assert usual(dict.fromkeys(range(48), 99), 48, 0) == Usual(19.0, 179.0)


def test_a_service_with_busy_days_and_quiet_nights_has_a_wider_one() -> None:
    counts = {hour: 2 if hour % 2 else 98 for hour in range(48)}
    found = usual(counts, 48, 0)
    assert found is not None
    assert (found.least, round(found.most)) == (0.0, round(50 + 5 * 1.4826 * 48))
