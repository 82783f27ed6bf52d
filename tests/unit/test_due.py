"""R30: ten business days, by the calendar of US federal holidays."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.due import DAY_MS, day_of, due_ms, is_business_day

EPOCH = date(1970, 1, 1)


def due(text: str) -> str:
    at = datetime.fromisoformat(text).replace(tzinfo=UTC)
    due_at = datetime.fromtimestamp(due_ms(round(at.timestamp() * 1_000)) / 1_000, UTC)
    return due_at.strftime("%Y-%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("came", "wanted"),
    [
        ("2026-11-02T12:00", "2026-11-17T12:00"),  # past Veterans Day
        ("2026-11-30T08:42", "2026-12-14T08:42"),
        ("2026-12-18T23:59", "2027-01-05T23:59"),  # past Christmas and New Year's Day
        ("2026-06-13T00:00", "2026-06-29T00:00"),  # a Saturday; past Juneteenth
        ("2026-06-26T10:00", "2026-07-13T10:00"),  # the Fourth is a Saturday: Friday is off
        ("2027-06-30T10:00", "2027-07-15T10:00"),  # the Fourth is a Sunday: Monday is off
        ("2021-12-20T10:00", "2022-01-05T10:00"),  # New Year's Day is a Saturday of the next year
    ],
)
def test_r30_a_text_is_due_ten_business_days_after_it_came(came: str, wanted: str) -> None:
    assert due(came) == wanted


def test_r30_the_holidays_of_a_year_are_the_federal_ones() -> None:
    days = [date(2026, 1, 1) + timedelta(days=one) for one in range(365)]
    off = [
        f"{day:%m-%d}"
        for day in days
        if day.weekday() < 5 and not is_business_day((day - EPOCH).days)
    ]
    assert off == [
        *("01-01", "01-19", "02-16", "05-25", "06-19", "07-03"),
        *("09-07", "10-12", "11-11", "11-26", "12-25"),
    ]


@given(st.dates(EPOCH, date(9990, 1, 1)))
def test_the_calendar_is_the_gregorian_one(day: date) -> None:
    number = (day - EPOCH).days
    assert day_of(day.year, day.month, day.day) == number
    assert not (day.weekday() >= 5 and is_business_day(number))


@given(st.integers(0, 200_000_000_000_000))
def test_r30_a_due_time_is_about_two_weeks_away(came_ms: int) -> None:
    assert 12 <= (due_ms(came_ms) - came_ms) / DAY_MS <= 18
    assert due_ms(came_ms) % DAY_MS == came_ms % DAY_MS
