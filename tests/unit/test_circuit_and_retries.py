"""When an endpoint gets no requests, and the retry after a failed request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.webhooks.circuit import Circuit, CircuitRules
from processor.webhooks.retries import (
    TIERS,
    Failure,
    Overrides,
    RetryRules,
    Why,
    asks_fallback,
    attempts_of,
    may_retry,
    overrides_of,
    tier_of,
    tiers_of,
)

RULES = CircuitRules(failures=3, pause_s=30.0)
RETRIES = RetryRules(attempts=4, first_delay_s=5.0, longest_delay_s=60.0)
SERVER_ERROR = Failure(Why.SERVER, 11200, "answered 500")


def after_failures(count: int) -> Circuit:
    circuit = Circuit()
    for _ in range(count):
        circuit = circuit.begun().failed(100.0, RULES)
    return circuit


def test_a_circuit_opens_after_failures_in_a_row() -> None:
    assert after_failures(2).lets_through(100.0)
    assert after_failures(2).succeeded() == Circuit()
    assert not after_failures(3).lets_through(129.9)


def test_after_its_pause_one_tries_and_decides() -> None:
    probing = after_failures(3).begun()
    assert after_failures(3).lets_through(130.0)
    assert not probing.lets_through(130.0)
    assert probing.succeeded() == Circuit()
    again = probing.failed(130.0, RULES)
    assert not again.lets_through(159.9)
    assert again.lets_through(160.0)


def test_a_probe_that_was_cut_off_lets_another_try() -> None:
    assert after_failures(3).begun().given_up().lets_through(130.0)


def test_failures_begun_before_it_opened_hold_it_open_no_longer() -> None:
    late = after_failures(3).failed(120.0, RULES)
    assert late.open_until_s == 130.0


def test_a_request_is_tried_as_often_as_the_rules_say() -> None:
    tries = [may_retry(SERVER_ERROR, attempt, RETRIES, Overrides()) for attempt in (1, 2, 3, 4)]
    assert tries == [True, True, True, False]


@pytest.mark.parametrize("why", [Why.REFUSED, Why.ANSWER])
def test_what_no_retry_changes_is_not_tried_again(why: Why) -> None:
    failure = Failure(why, 11200, "")
    assert not may_retry(failure, 1, RETRIES, Overrides())
    assert asks_fallback(failure, 1, RETRIES, Overrides())


def test_the_fallback_is_asked_from_the_second_failure_on() -> None:
    asked = [asks_fallback(SERVER_ERROR, attempt, RETRIES, Overrides()) for attempt in (1, 2, 3, 4)]
    assert asked == [False, True, True, True]


def test_a_url_overrides_what_is_tried_again_and_how_often() -> None:
    overrides = overrides_of("https://example.com/x#ct=2000&rt=5000&rc=2&rp=5xx,ct")
    assert overrides == Overrides(2.0, 5.0, 2, frozenset({"5xx", "ct"}))
    assert attempts_of(RETRIES, overrides) == 3
    assert may_retry(SERVER_ERROR, 2, RETRIES, overrides)
    assert not may_retry(SERVER_ERROR, 3, RETRIES, overrides)
    assert not may_retry(Failure(Why.READ, 11200, ""), 1, RETRIES, overrides)
    once = overrides_of("https://example.com/x#rc=0")
    assert asks_fallback(SERVER_ERROR, 1, RETRIES, once)


@pytest.mark.parametrize("fragment", ["", "#top", "#rc=9&ct=99999&rt=x", "#rc=²&ct=-1"])
def test_what_is_no_override_is_passed_over(fragment: str) -> None:
    assert overrides_of(f"https://example.com/x{fragment}") == Overrides()


def test_delays_grow_in_equal_steps_from_the_first_to_the_longest() -> None:
    assert tiers_of(RetryRules(15, 5.0, 5000.0)) == pytest.approx([5, 50, 500, 5000])


def test_a_delivery_is_tried_soon_at_first_and_for_some_hours_in_all() -> None:
    usual = RetryRules(attempts=15, first_delay_s=5.0, longest_delay_s=3600.0)
    tiers = [tier_of(attempt, usual) for attempt in range(1, usual.attempts)]
    assert tiers == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3]
    hours = sum(tiers_of(usual)[tier] for tier in tiers) / 3600
    assert hours == pytest.approx(6.4, abs=0.1)


def test_a_delivery_waits_until_its_endpoint_is_no_longer_left_alone() -> None:
    usual = RetryRules(attempts=15, first_delay_s=5.0, longest_delay_s=3600.0)
    tiers = [tier_of(1, usual, at_least_s=pause_s) for pause_s in (0, 5, 6, 45, 4000)]
    assert tiers == [0, 0, 1, 2, 3]
    assert tier_of(9, usual, at_least_s=30) == 3


@given(st.integers(1, 10_000), st.floats(0.001, 3600), st.floats(0.001, 86_400))
def test_whatever_the_settings_there_is_a_tier_and_later_attempts_wait_no_less(
    attempt: int, first_delay_s: float, longest_delay_s: float
) -> None:
    rules = RetryRules(15, first_delay_s, longest_delay_s)
    delays_s = tiers_of(rules)
    assert len(delays_s) == TIERS
    assert delays_s == sorted(delays_s)
    assert delays_s[-1] == pytest.approx(longest_delay_s)
    assert 0 <= tier_of(attempt, rules) <= tier_of(attempt + 1, rules) < TIERS
