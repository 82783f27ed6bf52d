"""The times and parts of charts, and where their bars are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from processor.http.console.bars import Column, bars_of
from processor.http.console.chart import HEIGHT, WIDTH
from processor.http.console.chart_files import csv_of_parts, csv_of_times
from processor.http.console.series import (
    Counts,
    Period,
    Share,
    added,
    counts_of,
    period_of,
    shares_of,
    slots_of,
)
from processor.statistics.hourly import ALL
from processor.statistics.sums import Bucket, Sums
from tests.builders import ACCOUNT

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
NOTHING = Counts(0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("", "month"),
        ("2026-03", "day"),
        ("2025-03", "day"),
        ("2025-02", "month"),  # fourteen months ago
        ("2026-04", "month"),  # to come
        ("2026-03-02", "hour"),
        ("2026-01-27", "hour"),
        ("2026-01-26", "month"),  # its hours are forgotten
        ("2026-02-30", "month"),
        ("2026-03-03", "month"),
        ("٢٠٢٦-03", "month"),
        ("x", "month"),
    ],
)
def test_a_period_is_a_month_or_a_day_that_is_kept(text: str, unit: str) -> None:
    period = period_of(text, NOW)
    assert period.unit == unit
    assert period.name == (text if unit != "month" else "")


def test_months_come_from_the_hashes_of_two_years() -> None:
    period = Period("", NOW)
    assert period.buckets(ACCOUNT, ALL) == [
        Bucket(ACCOUNT, ALL, "2025"),
        Bucket(ACCOUNT, ALL, "2026"),
    ]
    sums = [Sums({"at:STOP:03": 5, "at:STOP:02": 1}), Sums({"at:STOP:02": 7, "at:allowed:03": 10})]
    slots = slots_of(period, sums)
    assert [slot.name for slot in slots[:2]] == ["Mar 2025", "Apr 2025"]
    assert [slot.counts.opt_outs for slot in slots] == [5, *[0] * 10, 7, 0]
    assert (slots[-1].counts.sends, slots[-1].period) == (10, "2026-03")


def test_a_month_has_its_days_until_today_and_a_day_its_hours_until_now() -> None:
    days = slots_of(Period("2026-03", NOW), [Sums({"at:STOP:02": 3, "at:START:01": 1})])
    assert [(day.name, day.counts.opt_outs, day.counts.opt_ins) for day in days] == [
        ("Sun 01", 0, 1),
        ("Mon 02", 3, 0),
    ]
    hours = slots_of(Period("2026-03-02", NOW), [Sums({"at:refused:14": 2})])
    assert len(hours) == 15
    assert (hours[-1].name, hours[-1].counts.refused, hours[-1].period) == ("14:00", 2, "")


def test_a_day_whose_hours_are_forgotten_has_no_chart_of_its_own() -> None:
    days = slots_of(Period("2026-01", NOW), [Sums({})])
    assert [day.begin.day for day in days if not day.period] == list(range(1, 27))
    assert len(days) == 31


def test_parts_are_added_over_months_and_the_rest_is_named() -> None:
    sums = [Sums({"language:STOP:es": 2, "language:START:es": 1}), Sums({"language:STOP:fr": 4})]
    whole = Counts(10, 1, 0, 500, 3, 0)
    assert shares_of(sums, "language", whole, rest="Standard", named={"es": "Spanish"}) == [
        Share("Standard", Counts(4, 0, 0, 0, 0, 0)),
        Share("fr", Counts(4, 0, 0, 0, 0, 0)),
        Share("Spanish", Counts(2, 1, 0, 0, 0, 0)),
    ]
    of = shares_of([Sums({"of:allowed:MG": 5})], "of", whole, rest="", named={})
    assert of == [Share("MG", Counts(0, 0, 0, 5, 0, 0))]


def test_a_rate_is_opt_outs_for_a_thousand_sends() -> None:
    assert (Counts(3, 0, 0, 2_000, 0, 0, 3).rate, NOTHING.rate) == (1.5, None)
    assert added([Counts(1, 2, 3, 4, 5, 6, 7)] * 2) == Counts(2, 4, 6, 8, 10, 12, 14)
    assert added([]) == NOTHING


@pytest.mark.parametrize("values", [[(0, 0)], [(3, 0), (0, 2)], [(0.25, 0), (0.0, 0)], [(1e6, 3)]])
def test_bars_are_inside_the_picture(values: list[tuple[float, float]]) -> None:
    chart = bars_of([Column("x", up, down, "x") for up, down in values])
    for bar in chart.bars:
        assert 0 <= bar.x < bar.x + bar.width <= WIDTH + 1
        assert 36 <= bar.up_y <= chart.zero_y <= chart.zero_y + bar.down <= HEIGHT - 27
    assert 2 <= len(chart.lines) <= 8
    assert {"0"} <= {text for _, text in chart.lines}


def test_a_rate_below_one_has_grid_lines_of_its_own() -> None:
    chart = bars_of([Column("x", 0.4, 0, "x")])
    assert [text for _, text in chart.lines] == ["0", "0.1", "0.2", "0.3", "0.4"]


def test_a_csv_file_has_every_figure_and_no_formula() -> None:
    [day, *_] = slots_of(Period("2026-03", NOW), [Sums({"at:STOP:01": 3, "at:allowed:01": 2_000})])
    heads = "opt_outs,opt_ins,help,sends_allowed,sends_refused,sends_suspended"
    assert csv_of_times("day", [day]).splitlines() == [
        f"day,{heads},opt_outs_per_1000_sends",
        "2026-03-01T00:00:00Z,3,0,0,2000,0,0,1.500",
    ]
    shares = [Share(name, NOTHING) for name in ("=1+1", 'Clinic, "A"')]
    assert csv_of_parts("of", shares).splitlines()[1:] == [
        "'=1+1,0,0,0,0,0,0,",
        '"Clinic, ""A""",0,0,0,0,0,0,',
    ]


def test_opt_outs_of_times_without_a_known_send_are_not_in_a_rate() -> None:
    month = Sums({"at:STOP:01": 50, "at:STOP:02": 3, "at:allowed:02": 1_000})
    assert counts_of(month) == Counts(53, 0, 0, 1_000, 0, 0, 3)
    assert counts_of(month).rate == 3.0
    months = [Sums({"of:STOP:MG": 50}), Sums({"of:STOP:MG": 3, "of:allowed:MG": 1_000})]
    [share] = shares_of(months, "of", counts_of(month), rest="", named={})
    assert (share.counts.opt_outs, share.counts.rate) == (53, 3.0)
