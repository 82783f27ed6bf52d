"""R30: the policies of opt-outs in other words than keywords, by tier and country."""

from __future__ import annotations

import pytest

from processor.core.suspected import Finding, Overdue, OwnWords, TierPolicy, WordsTier

BLOCK, REPORT, OFF = TierPolicy
PHRASE, SUSPECTED = WordsTier


@pytest.mark.parametrize("country", ["US", "PR", "GU", "VI", "AS", "MP", "CA"])
def test_r30_a_phrase_blocks_in_the_us_and_canada_by_default(country: str) -> None:
    assert OwnWords().policy(PHRASE, country) is BLOCK


@pytest.mark.parametrize("country", ["MX", "DE", "JM", None])
def test_r30_elsewhere_a_phrase_is_reported(country: str | None) -> None:
    assert OwnWords().policy(PHRASE, country) is REPORT


@pytest.mark.parametrize("country", ["US", "CA", "DE", None])
def test_r30_what_is_only_suspected_is_reported_everywhere(country: str | None) -> None:
    assert OwnWords().policy(SUSPECTED, country) is REPORT


@pytest.mark.parametrize(
    ("country", "wanted"),
    [("US", Overdue.BLOCK), ("PR", Overdue.BLOCK), ("CA", Overdue.KEEP), (None, Overdue.KEEP)],
)
def test_r30_what_nobody_reviewed_blocks_in_the_us_by_default(
    country: str | None, wanted: Overdue
) -> None:
    assert OwnWords().when_overdue(country) is wanted


def test_r30_a_services_own_policy_holds_in_every_country() -> None:
    words = OwnWords(REPORT, BLOCK, Overdue.KEEP)
    for country in ("US", "DE", None):
        assert words.policy(PHRASE, country) is REPORT
        assert words.policy(SUSPECTED, country) is BLOCK
        assert words.when_overdue(country) is Overdue.KEEP


def test_r30_a_tier_that_is_off_finds_nothing() -> None:
    words = OwnWords(phrases=OFF)
    assert words.finding(PHRASE, 1.0, ("courtesy",), "US") is None
    assert words.finding(SUSPECTED, 0.9, ("asks",), "US") == Finding(
        SUSPECTED, 0.9, ("asks",), REPORT, Overdue.BLOCK
    )
