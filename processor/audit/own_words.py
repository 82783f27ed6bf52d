"""Opt-outs in other words than keywords, as the checker reads R30: policies, and due times.

Which texts are such is not checked: tier and score are taken as the report has them.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from processor.audit.keywords import Keywords
from processor.audit.values import Report

_STATES = frozenset(("US", "PR", "GU", "VI", "AS", "MP"))
_DAYS = 10
_MONDAY, _THURSDAY = 0, 3


def policy_of(keywords: Keywords, tier: str, country: str | None) -> str:
    """The policy of a tier for a recipient in a country."""
    if tier == "phrase":
        usual = "block" if country in _STATES or country == "CA" else "report"
        return keywords.phrases or usual
    return keywords.suspected or "report"


def overdue_of(keywords: Keywords, country: str | None) -> str:
    """The fate of a text that is not reviewed in time."""
    return keywords.overdue or ("block" if country in _STATES else "keep")


def wrong_policy(report: Report, keywords: Keywords, countries: set[str | None]) -> bool:
    """Whether a report's policies are those of none of the countries that its number may have."""
    said = report.suspicion.policy, report.overdue
    return all(
        said != (policy_of(keywords, report.suspicion.tier, one), overdue_of(keywords, one))
        for one in countries
    )


def due_ms(first_ms: int) -> int:
    """Ten business days of the US after a time, in UTC."""
    at = datetime.fromtimestamp(first_ms / 1_000, UTC)
    day, left = at.date(), _DAYS
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < 5 and day not in _free_days(day.year)
    return first_ms + (day - at.date()).days * 86_400_000


@lru_cache(16)
def _free_days(year: int) -> frozenset[date]:
    """The federal holidays that are kept in a year."""
    fixed = [date(year, *at) for at in ((1, 1), (6, 19), (7, 4), (11, 11), (12, 25))]
    fixed.append(date(year + 1, 1, 1))  # on a Saturday it is kept in the year before
    weekly = [
        _which(year, 1, _MONDAY, 15),
        _which(year, 2, _MONDAY, 15),
        _which(year, 5, _MONDAY, 25),
        _which(year, 9, _MONDAY, 1),
        _which(year, 10, _MONDAY, 8),
        _which(year, 11, _THURSDAY, 22),
    ]
    return frozenset([*map(_kept, fixed), *weekly])


def _kept(day: date) -> date:
    return day + timedelta(days={5: -1, 6: 1}.get(day.weekday(), 0))


def _which(year: int, month: int, weekday: int, from_day: int) -> date:
    """The first such day of the week on or after a day of the month."""
    first = date(year, month, from_day)
    return first + timedelta(days=(weekday - first.weekday()) % 7)
