"""A request's reads count, and an account's reads do not delay those of others for long."""

from __future__ import annotations

import asyncio
import time

import pytest

from processor.errors import BrokerUnavailable
from processor.http import limits
from processor.http.auth import Caller
from processor.http.errors import ApiError
from processor.http.limits import OneEach, RateLimit, Slices, Turns


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def refused_for(limit: RateLimit, whose: str) -> int:
    """The seconds for which an account must wait; 0: it is served."""
    try:
        limit.take(whose)
    except ApiError as error:
        refused = error
    else:
        return 0
    assert (refused.status, refused.code) == (429, 20429)
    assert refused.headers is not None
    return int(refused.headers["Retry-After"])


def test_what_was_read_counts_against_the_requests_that_come_next() -> None:
    clock = Clock()
    limit = RateLimit(10, clock_s=clock)
    assert refused_for(limit, "one") == 0  # 19 of 20 are left
    limit.charge("one", 68)  # 49 too many
    assert refused_for(limit, "one") == 5
    assert refused_for(limit, "other") == 0
    clock.now = 4.9
    assert refused_for(limit, "one") == 1
    clock.now = 5.0
    assert refused_for(limit, "one") == 0


def test_no_debt_lasts_longer_than_half_a_minute() -> None:
    clock = Clock()
    limit = RateLimit(10, clock_s=clock)
    limit.charge("one", 1e9)
    assert refused_for(limit, "one") == 31
    clock.now = 30.1
    assert refused_for(limit, "one") == 0


async def test_a_long_answer_waits_so_that_half_of_the_bucket_stays_for_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    limit = RateLimit(100, clock_s=clock)  # 200 at most

    async def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await limit.afford("one", 100)
    assert clock.now == 0.0
    await limit.afford("one", 20)
    assert clock.now == pytest.approx(0.2)
    for _ in range(100):
        limit.take("one")
    await limit.afford("one", 500)  # it goes on, if slowly, whatever else the account does
    assert clock.now == pytest.approx(1.2)


async def test_who_does_not_heed_a_refusal_waits_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    limit = RateLimit(1, clock_s=lambda: 0.0)
    for served in (True, True, False, False):
        if served:
            await limit.admit("one")
        else:
            with pytest.raises(ApiError):
                await limit.admit("one")
    assert slept == [limits._HELD_S] * 2
    assert limit._refusals._held == 0


async def test_where_no_rate_is_set_nothing_waits_and_nothing_is_refused() -> None:
    limit = RateLimit(0)
    async with asyncio.timeout(5):
        await limit.afford("one", 1e9)
    limit.charge("one", 1e9)
    limit.take("one")


def test_an_operator_pays_for_what_they_do_for_an_account() -> None:
    assert Caller("AC1", "SK1").payer == "AC1"
    assert Caller("AC1", "operator/jane", operator=True).payer == "operator/jane"
    assert Caller(None, "operator", operator=True).payer == "operator"


async def in_turn(turns: Turns, whose: str, said: list[str]) -> None:
    async with turns.turn(whose):
        said.append(whose)
        await asyncio.sleep(0.01)


async def test_an_account_that_asks_for_much_delays_itself() -> None:
    turns, said = Turns(at_once=2, most_waiting=100, within_s=60), list[str]()
    flood = [asyncio.create_task(in_turn(turns, "flood", said)) for _ in range(20)]
    await asyncio.sleep(0)
    others = [asyncio.create_task(in_turn(turns, f"{number}", said)) for number in range(4)]
    await asyncio.gather(*flood, *others)
    # Of two places the flood has one, and each of the others had its turn beside it.
    assert said.index("3") < 10
    assert said.count("flood") == 20
    assert turns._lines == {}


async def test_more_than_may_wait_of_an_account_are_refused_and_of_others_not() -> None:
    turns, said = Turns(at_once=1, most_waiting=2, within_s=60), list[str]()
    works = [in_turn(turns, whose, said) for whose in ["one"] * 5 + ["other"]]
    found = await asyncio.gather(*works, return_exceptions=True)
    assert [one for one in found if one is not None] == [found[3], found[4]]
    assert [one.code for one in found if isinstance(one, ApiError)] == [20429, 20429]
    assert sorted(said) == ["one"] * 3 + ["other"]


async def test_a_turn_ends_in_time_and_waiting_for_it_counts() -> None:
    turns, given_up = Turns(at_once=1, most_waiting=5, within_s=0.05), asyncio.Event()
    patient = Turns(at_once=1, most_waiting=5, within_s=60)

    async def hold() -> None:
        async with turns._all:  # a turn without an end
            await given_up.wait()

    holding = asyncio.create_task(hold())
    await asyncio.sleep(0)
    for _ in range(2):
        with pytest.raises(BrokerUnavailable):
            await in_turn(turns, "one", [])
    given_up.set()
    await holding
    with pytest.raises(BrokerUnavailable):
        async with turns.turn("one"):
            await asyncio.sleep(60)
    said = list[str]()
    await in_turn(patient, "one", said)
    assert said == ["one"]
    assert turns._lines == patient._lines == {}


async def test_an_account_does_one_of_something_at_a_time() -> None:
    each = OneEach()
    async with each.of("one"), each.of("other"):
        began = time.monotonic()
        with pytest.raises(ApiError) as refused:
            async with each.of("one"):
                pass
        assert refused.value.code == 20429
        assert time.monotonic() - began >= limits._HELD_S  # who asks again at once, waits
    async with each.of("one"):
        pass


async def test_between_two_slices_others_have_as_long_as_a_slice_took() -> None:
    slices, done = Slices(), 0

    async def reads() -> None:
        nonlocal done
        for _ in range(5):
            async with slices.one():
                time.sleep(0.01)  # noqa: ASYNC251, as work that holds the loop
                done += 1

    began = time.monotonic()
    readers = [asyncio.create_task(reads()) for _ in range(2)]
    served = 0
    while done < 10:
        await asyncio.sleep(0)
        served += 1
    await asyncio.gather(*readers)
    assert time.monotonic() - began >= (10 + 9) * 0.01  # nobody waits for what comes after the last
    assert served > 10  # not once a slice: also in the time between


async def test_while_a_process_is_behind_long_answers_pause_longer_and_go_on() -> None:
    slices, done = Slices(), 0

    async def reads() -> None:
        nonlocal done
        for _ in range(3):
            async with slices.one(pause=2):
                time.sleep(0.01)  # noqa: ASYNC251, as work that holds the loop
                done += 1

    began = time.monotonic()
    reader = asyncio.create_task(reads())
    while done < 3:
        time.sleep(0.005)  # noqa: ASYNC251, as requests that are worked
        await asyncio.sleep(0)
    await reader
    assert time.monotonic() - began >= (3 + 2 * 2 * limits._MOST_RESTS) * 0.01
