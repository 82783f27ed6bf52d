"""When a reported text must be reviewed: ten business days after it came (R30).

47 CFR 64.1200(a)(10) counts business days in the US: neither weekends nor federal holidays
(5 U.S.C. 6103). Days are counted in UTC, which never gives more time than a sender's own clock.
"""

from __future__ import annotations

from functools import lru_cache

BUSINESS_DAYS = 10
DAY_MS = 86_400_000
_MONDAY, _THURSDAY, _SATURDAY, _SUNDAY = 0, 3, 5, 6
_FIXED = ((1, 1), (6, 19), (7, 4), (11, 11), (12, 25))  # month and day
# Month, weekday, and which of the month's such days; -1 is the last.
_FLOATING = (
    (1, _MONDAY, 3),  # Martin Luther King's birthday
    (2, _MONDAY, 3),  # Washington's birthday
    (5, _MONDAY, -1),  # Memorial Day
    (9, _MONDAY, 1),  # Labor Day
    (10, _MONDAY, 2),  # Columbus Day
    (11, _THURSDAY, 4),  # Thanksgiving
)


def due_ms(appended_ms: int) -> int:
    """The due time of a text: the same time of day, ten business days later.

    Args:
        appended_ms: when its record was first appended, ms since 1970 UTC.
    """
    day, of_day_ms = divmod(appended_ms, DAY_MS)
    left = BUSINESS_DAYS
    while left:
        day += 1
        left -= is_business_day(day)
    return day * DAY_MS + of_day_ms


def is_business_day(day: int) -> bool:
    """Whether a day, in days since 1970-01-01, is a business day in the US."""
    if _weekday(day) >= _SATURDAY:
        return False
    year = _year_of(day)
    return day not in _holidays(year) and day not in _holidays(year + 1)


@lru_cache(maxsize=16)
def _holidays(year: int) -> frozenset[int]:
    """The federal holidays of a year as they are observed; its first may be in the year before."""
    fixed = (_observed(day_of(year, month, day)) for month, day in _FIXED)
    floating = (_nth(year, month, weekday, which) for month, weekday, which in _FLOATING)
    return frozenset((*fixed, *floating))


def _observed(day: int) -> int:
    """A holiday on Saturday is observed on Friday, on Sunday on Monday."""
    return day + {_SATURDAY: -1, _SUNDAY: 1}.get(_weekday(day), 0)


def _nth(year: int, month: int, weekday: int, which: int) -> int:
    if which < 0:
        end = day_of(year, month + 1, 1) - 1
        return end - (_weekday(end) - weekday) % 7
    first = day_of(year, month, 1)
    return first + (weekday - _weekday(first)) % 7 + 7 * (which - 1)


def _weekday(day: int) -> int:
    return (day + _THURSDAY) % 7  # 1970 began on a Thursday


def day_of(year: int, month: int, day: int) -> int:
    """A date of the Gregorian calendar in days since 1970-01-01."""
    # Years that begin in March, so that a leap day comes last.
    year, month = (year - 1, month + 9) if month < 3 else (year, month - 3)
    of_year = (153 * month + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + of_year - 719_468


def _year_of(day: int) -> int:
    year = 1970 + day // 366  # at most the year
    while day_of(year + 1, 1, 1) <= day:
        year += 1
    return year
