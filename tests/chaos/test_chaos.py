"""A short chaos run: every kind of fault once, at a low rate."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.plan import SERVER_FAULTS, WORKER_FAULTS, make_plan
from tests.chaos.run import Options, run

pytestmark = pytest.mark.chaos

SEED = 7


@pytest.mark.needs_more
async def test_nothing_is_lost_doubled_or_leaked_under_faults(tmp_path: Path) -> None:
    options = Options(seed=SEED, seconds=None, rate=50, longest_s=4)
    outcome = await run(options, tmp_path, print)
    assert outcome.violations == {}
    assert outcome.counts["verdicts_checked"] == outcome.counts["outbound-messages.v1"] > 0
    survived = outcome.suffered.by_kind.keys() | outcome.suffered.not_done.keys()
    assert survived == {*WORKER_FAULTS, *SERVER_FAULTS}


def test_the_same_seed_makes_the_same_plan() -> None:
    plans = [make_plan(seed, longest_s=4, seconds=100) for seed in (SEED, SEED, SEED + 1)]
    assert plans[0] == plans[1] != plans[2]
