"""When an endpoint is left alone, and what follows a request that failed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.circuit import Circuit, CircuitRules
from processor.core.retries import (
    Failure,
    Overrides,
    RetryRules,
    Why,
    asks_fallback,
    attempts_of,
    delay_s,
    may_retry,
    overrides_of,
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


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_delay_doubles_up_to_the_longest_and_is_half_by_chance(
    attempt: int, jitter: float
) -> None:
    whole = min(60.0, 5.0 * 2 ** min(attempt - 1, 60))
    assert whole / 2 <= delay_s(attempt, RETRIES, jitter) <= whole
