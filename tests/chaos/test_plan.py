"""The plan of a chaos run: the same for the same seed, and only what the servers can suffer."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.chaos.plan import (
    KINDS,
    REDIS_KINDS,
    TRACKS,
    RedisKind,
    kinds_of,
    make_plan,
    one_by_one,
)

SEED = 7


def test_the_same_seed_makes_the_same_plan() -> None:
    plans = [make_plan(seed, longest_s=4, seconds=100) for seed in (SEED, SEED, SEED + 1)]
    assert plans[0] == plans[1] != plans[2]


@pytest.mark.parametrize("brokers", [1, 3])
@pytest.mark.parametrize("redis", REDIS_KINDS)
def test_a_plan_has_every_kind_that_fits_and_no_other(redis: RedisKind, brokers: int) -> None:
    fitting = kinds_of(redis=redis, brokers=brokers)
    once = make_plan(SEED, longest_s=8, seconds=None, redis=redis, brokers=brokers)
    assert sorted(fault.kind for fault in once) == sorted(fitting)
    long = make_plan(SEED, longest_s=8, seconds=600, redis=redis, brokers=brokers)
    assert {fault.kind for fault in long} == {*fitting}
    for track in TRACKS:
        mine = [fault for fault in long if fault.track == track]
        assert sum(fault.after_s + fault.hold_s for fault in mine) >= 600
        assert {KINDS[fault.kind].track for fault in mine} == {track}


def test_every_kind_fits_some_servers() -> None:
    fitting = [kinds_of(redis=redis, brokers=3) for redis in REDIS_KINDS]
    survived = {name for name, kind in KINDS.items() if kind.is_survived}
    assert {name for kinds in fitting for name in kinds} == survived


def test_what_is_not_survived_comes_only_where_it_is_named() -> None:
    [name] = [name for name, kind in KINDS.items() if not kind.is_survived]
    plan = make_plan(SEED, longest_s=8, seconds=None, only=[name])
    assert [fault.kind for fault in plan] == [name]


def test_a_plan_of_some_kinds_has_just_these() -> None:
    plan = make_plan(SEED, longest_s=8, seconds=None, only=["kill", "broker killed"])
    assert [fault.kind for fault in plan] == ["kill", "broker killed"]


def test_one_by_one_every_kind_comes_before_any_comes_again() -> None:
    kinds = sorted(kinds_of(redis="sentinel", brokers=3))
    faults = list(islice(one_by_one(SEED, longest_s=8, redis="sentinel"), 2 * len(kinds)))
    assert sorted(fault.kind for fault in faults[: len(kinds)]) == kinds
    assert sorted(fault.kind for fault in faults[len(kinds) :]) == kinds
    assert faults == list(islice(one_by_one(SEED, longest_s=8, redis="sentinel"), len(faults)))
