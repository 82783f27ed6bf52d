"""Matches by the hour, in a bounded window."""

from __future__ import annotations

from processor.core.hourly import KEPT_HOURS, Counted, Hourly, Series, hour_of
from processor.core.messages import OptOutType
from tests.builders import ACCOUNT, NOW_MS, SERVICE

_HOUR_MS = 3_600_000
_NOW = hour_of(NOW_MS)
_STOPS = Series(ACCOUNT, SERVICE, OptOutType.STOP, None)
_STARTS = Series(ACCOUNT, SERVICE, OptOutType.START, "es")


def _counted(series: Series = _STOPS, count: int = 1, hours_ago: int = 0) -> Counted:
    return Counted(series, count, NOW_MS - hours_ago * _HOUR_MS)


def test_what_falls_into_an_hour_is_added_up_for_each_series() -> None:
    hourly = Hourly()
    for one in (_counted(count=2), _counted(count=3), _counted(_STARTS), _counted(hours_ago=1)):
        hourly.add(one, NOW_MS)
    assert sorted(hourly.found(_NOW), key=lambda one: one[2]) == [
        (_NOW, _STARTS, 1),
        (_NOW, _STOPS, 5),
    ]
    assert (_NOW - 1, _STOPS, 1) in set(hourly.found(_NOW - 1))


def test_what_is_outside_the_window_is_not_counted() -> None:
    hourly = Hourly()
    for hours_ago in (KEPT_HOURS, KEPT_HOURS - 1, -1, -2):
        hourly.add(_counted(hours_ago=hours_ago), NOW_MS)
    assert {hour for hour, _, _ in hourly.found(0)} == {_NOW - KEPT_HOURS + 1, _NOW + 1}


def test_the_window_moves_on() -> None:
    hourly = Hourly()
    hourly.add(_counted(hours_ago=KEPT_HOURS - 1), NOW_MS)
    hourly.forget(NOW_MS + _HOUR_MS)
    assert list(hourly.found(0)) == []


def test_no_more_figures_are_kept_than_there_is_room_for() -> None:
    hourly = Hourly(kept=1)
    for one in (_counted(), _counted(), _counted(_STARTS, count=4), _counted(hours_ago=1)):
        hourly.add(one, NOW_MS)
    assert list(hourly.found(0)) == [(_NOW, _STOPS, 2)]
    assert hourly.left_out == 5
