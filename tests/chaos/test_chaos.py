"""A short chaos run: every kind of fault that one broker and one Redis suffer, at a low rate."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.plan import kinds_of
from tests.chaos.run import Options, run
from tests.chaos.traffic import CODECS

pytestmark = pytest.mark.chaos

SEED = 7
_PRINTED = 20  # violations of each kind


@pytest.mark.needs_more
async def test_nothing_is_lost_doubled_or_leaked_under_faults(tmp_path: Path) -> None:
    options = Options(seed=SEED, seconds=None, rate=50, longest_s=4, brokers=1)
    outcome = await run(options, tmp_path, print)
    for kind, found in outcome.violations.items():
        print(kind, *found[:_PRINTED], sep="\n  ")
    assert not outcome.violations
    counts = outcome.counts
    sends = counts["outbound-messages.v1"] - counts["sends_over_a_limit"]
    assert counts["verdicts_checked"] == sends > 0
    assert min(counts[f"written_with_{codec}"] for codec in CODECS) > 0
    assert counts["webhook_requests"] > counts["webhook_requests_answered"] > 0
    assert counts["webhooks_put_aside"] > 0
    # A START's reply that a later STOP outdates has no status, though it may have been tried.
    assert min(counts["hand_overs_checked"], counts["carrier_messages"]) > 0
    assert counts["carrier_requests_taken"] > counts["carrier_requests_failed"] > 0
    assert counts["records_over_a_limit"] > counts["sends_over_a_limit"] > 0
    survived = outcome.suffered.by_kind.keys() | outcome.suffered.not_done.keys()
    assert survived == kinds_of(redis="one", brokers=1).keys()
    assert outcome.swallowed > 0
