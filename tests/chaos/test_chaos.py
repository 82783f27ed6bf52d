"""A short chaos run: every kind of fault that one broker and one Redis suffer, at a low rate."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.plan import kinds_of
from tests.chaos.run import Options, run

pytestmark = pytest.mark.chaos

SEED = 7


@pytest.mark.needs_more
async def test_nothing_is_lost_doubled_or_leaked_under_faults(tmp_path: Path) -> None:
    options = Options(seed=SEED, seconds=None, rate=50, longest_s=4, brokers=1)
    outcome = await run(options, tmp_path, print)
    assert outcome.violations == {}
    assert outcome.counts["verdicts_checked"] == outcome.counts["outbound-messages.v1"] > 0
    survived = outcome.suffered.by_kind.keys() | outcome.suffered.not_done.keys()
    assert survived == kinds_of(redis="one", brokers=1).keys()
    assert outcome.swallowed > 0
