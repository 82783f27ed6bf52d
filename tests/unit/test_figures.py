"""Figures of services and hours, and where the chart draws them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from processor.core.messages import OptOutType
from processor.http.console.chart import HEIGHT, WIDTH, chart_of
from processor.http.console.figures import Hour, added, alarms_of, figures_of, hours_of, known_hours
from processor.statistics.hourly import KEPT_HOURS, Counted, Hourly, Series
from processor.statistics.usual_range import Usual
from schemas.messaging_service import MessagingService
from tests.builders import ACCOUNT, NOW_MS, OTHER_ACCOUNT, SERVICE

_HOUR_MS = 3_600_000
_AT = datetime.fromtimestamp(NOW_MS / 1_000, UTC)


def _service(hours_old: int) -> MessagingService:
    return MessagingService(
        sid=SERVICE,
        account_sid=ACCOUNT,
        friendly_name="Clinic",
        version=1,
        created_at=_AT - timedelta(hours=hours_old),
        updated_at=_AT,
    )


def _hourly(*counts: tuple[int, int], account: str = ACCOUNT, kind: str = "STOP") -> Hourly:
    """Counts, by the number of hours ago."""
    hourly = Hourly()
    series = Series(account, SERVICE, OptOutType(kind), None)
    for hours_ago, count in counts:
        hourly.add(Counted(series, count, NOW_MS - hours_ago * _HOUR_MS), NOW_MS)
    return hourly


def test_a_service_shows_its_last_day_and_its_alarm() -> None:
    week = [(hours_ago, 4) for hours_ago in range(1, KEPT_HOURS)]
    figures = figures_of(_hourly((0, 90), *week), _service(KEPT_HOURS), NOW_MS)
    assert (figures.opt_outs, figures.opt_ins, figures.share) == (90 + 23 * 4, 0, 100)
    assert figures.latest is not None
    assert figures.latest.alarm == "above"


def test_a_jump_of_a_service_that_had_no_opt_out_yet_is_an_alarm_once_it_is_a_day_old() -> None:
    hourly = _hourly((0, 90))
    for hours_old, alarmed in ((23, False), (24, True)):
        service = _service(hours_old)
        assert (figures_of(hourly, service, NOW_MS).latest is not None) == alarmed
        assert [one for one, _ in alarms_of(hourly, [service], NOW_MS)] == [service] * alarmed


def test_another_accounts_counts_under_a_services_sid_are_not_its() -> None:
    figures = figures_of(_hourly((0, 9), account=OTHER_ACCOUNT), _service(48), NOW_MS)
    assert (figures.opt_outs, figures.share) == (0, None)


def test_no_more_is_known_of_a_service_than_of_the_window() -> None:
    assert known_hours(_service(9_999), NOW_MS) == KEPT_HOURS
    assert known_hours(_service(3), NOW_MS) == 4


def test_hours_without_a_figure_are_there() -> None:
    outs = added(_hourly((2, 3)).of(ACCOUNT, SERVICE), OptOutType.STOP)
    hours = hours_of(outs, added({}, OptOutType.START), 4, NOW_MS, known=None)
    assert [hour.opt_outs for hour in hours] == [0, 3, 0, 0]
    assert hours[-1].at == _AT.replace(minute=0, second=0, microsecond=0)


@pytest.mark.parametrize(("opt_outs", "opt_ins"), [(0, 0), (1, 0), (0, 7), (123_456, 99)])
def test_everything_is_drawn_inside_the_picture(opt_outs: int, opt_ins: int) -> None:
    usual = Usual(0.0, 9.0)
    hours = [Hour(_AT + timedelta(hours=n), opt_outs, opt_ins, usual, "above") for n in range(168)]
    chart = chart_of(hours)
    for bar in chart.bars:
        assert 0 <= bar.mark_y <= bar.up_y <= bar.up_y + bar.up <= chart.zero_y + 0.2
        assert chart.zero_y + bar.down <= HEIGHT
        assert 0 <= bar.x <= bar.x + bar.width <= WIDTH
    assert all(0 <= y <= HEIGHT for y, _ in chart.lines)
    assert len(chart.lines) <= 9
    assert chart.usual.count("M") == len(hours)
