"""Matches by the hour, in a bounded window."""

from __future__ import annotations

from processor.core.messages import OptOutType
from processor.statistics.hourly import ALL, KEPT_HOURS, Counted, Hourly, Series
from tests.builders import ACCOUNT, NOW_MS, OTHER_ACCOUNT, SERVICE

_HOUR_MS = 3_600_000
_STOPS = Series(ACCOUNT, SERVICE, OptOutType.STOP, None)
_STARTS = Series(ACCOUNT, SERVICE, OptOutType.START, "es")


def _counted(series: Series = _STOPS, count: int = 1, hours_ago: int = 0) -> Counted:
    return Counted(series, count, NOW_MS - hours_ago * _HOUR_MS)


def _hourly(*counted: Counted, kept: int = 100) -> Hourly:
    hourly = Hourly(kept)
    for one in counted:
        hourly.add(one, NOW_MS)
    return hourly


def _sums(hourly: Hourly, account: str, service: str | None) -> dict[OptOutType, int]:
    return {name[0]: sum(counts) for name, counts in hourly.of(account, service).items()}


def test_what_falls_into_an_hour_is_added_up_for_each_series() -> None:
    hourly = _hourly(
        _counted(count=2), _counted(count=3), _counted(_STARTS), _counted(hours_ago=1, count=7)
    )
    kinds = hourly.of(ACCOUNT, SERVICE)
    assert list(kinds[OptOutType.STOP, None][-3:]) == [0, 7, 5]
    assert list(kinds[OptOutType.START, "es"][-2:]) == [0, 1]
    assert all(len(counts) == KEPT_HOURS for counts in kinds.values())


def test_sums_are_kept_of_accounts_and_of_all() -> None:
    hourly = _hourly(
        _counted(count=2),
        _counted(_STOPS._replace(service_sid="MG2"), count=3),
        _counted(_STOPS._replace(service_sid=None), count=5),
        _counted(_STOPS._replace(account_sid=OTHER_ACCOUNT, service_sid=None), count=7),
    )
    for account, service, count in (
        (ACCOUNT, SERVICE, 2),
        (ACCOUNT, None, 5),
        (ACCOUNT, ALL, 10),
        (ALL, None, 12),
        (ALL, ALL, 17),
    ):
        assert _sums(hourly, account, service) == {OptOutType.STOP: count}
    assert hourly.of("AC_nobody", ALL) == {}
    mine = {(ACCOUNT, SERVICE), (ACCOUNT, "MG2"), (ACCOUNT, None)}
    assert set(hourly.services(ACCOUNT)) == mine
    assert set(hourly.services(ALL)) == mine - {(ACCOUNT, None)} | {(ALL, None)}


def test_what_is_outside_the_window_is_not_counted_and_the_next_hour_is_this_one() -> None:
    hourly = _hourly(*(_counted(hours_ago=n) for n in (KEPT_HOURS, KEPT_HOURS - 1, -1, -2)))
    [counts] = hourly.of(ACCOUNT, SERVICE).values()
    assert [hour for hour, count in enumerate(counts) if count] == [0, KEPT_HOURS - 1]


def test_the_window_moves_on() -> None:
    hourly = _hourly(_counted(hours_ago=KEPT_HOURS - 1), _counted(_STARTS))
    hourly.move(NOW_MS + _HOUR_MS)
    assert _sums(hourly, ACCOUNT, SERVICE) == {OptOutType.START: 1}
    assert hourly.of(ACCOUNT, SERVICE)[OptOutType.START, "es"][-2] == 1
    hourly.move(NOW_MS + 1_000 * _HOUR_MS)
    assert (list(hourly.services(ALL)), hourly.series) == ([], 0)


def test_no_more_is_kept_than_there_is_room_for() -> None:
    other = _STOPS._replace(service_sid="MG2")
    hourly = _hourly(_counted(), _counted(other, 4), _counted(hours_ago=1), kept=3)
    assert (hourly.series, hourly.left_out) == (3, 4)
    assert hourly.of(ACCOUNT, "MG2") == {}
    assert _sums(hourly, ACCOUNT, SERVICE) == {OptOutType.STOP: 2}
    assert _sums(hourly, ACCOUNT, ALL) == {OptOutType.STOP: 6}
