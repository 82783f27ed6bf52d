"""Chaos runs that need more servers: three brokers, Sentinel, a Cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.plan import RedisKind, kinds_of
from tests.chaos.run import Options, Outcome, run

pytestmark = pytest.mark.needs_more

SEED = 11
FAILOVERS = kinds_of(redis="sentinel", brokers=1).keys() - kinds_of(redis="one", brokers=1).keys()


async def found(options: Options, directory: Path) -> Outcome:
    outcome = await run(options, directory, print)
    assert outcome.violations == {}
    counts = outcome.counts
    sends = counts["outbound-messages.v1"] - counts["sends_over_a_limit"]
    assert counts["verdicts_checked"] == sends > 0
    return outcome


async def test_every_kind_of_fault_with_three_brokers(tmp_path: Path) -> None:
    options = Options(seed=SEED, seconds=None, rate=20, longest_s=4)
    outcome = await found(options, tmp_path)
    survived = outcome.suffered.by_kind.keys() | outcome.suffered.not_done.keys()
    assert survived == kinds_of(redis="one", brokers=3).keys()
    assert outcome.refused_elections > 0
    assert outcome.suffered.drifts != []


@pytest.mark.parametrize("redis", ["sentinel", "cluster"])
async def test_redis_fails_over_under_load(redis: RedisKind, tmp_path: Path) -> None:
    only = (*FAILOVERS, "Redis emptied", "Redis restarted empty", "cut from Redis", "kill")
    options = Options(
        seed=SEED, seconds=None, rate=20, longest_s=4, brokers=1, redis=redis, only=only
    )
    outcome = await found(options, tmp_path)
    assert outcome.suffered.by_kind.keys() == {*only}
