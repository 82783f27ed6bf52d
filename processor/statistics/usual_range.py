"""The usual range of a service's opt-outs an hour, from its own past; outside it is an alarm.

The range reaches from the median of the earlier hours by the larger of two distances. The first is
eight times the chance deviation of a steady rate (Poisson: the root of the rate, which is up to one
more than its median). The second is five times this service's own deviation (the median absolute
deviation, which a few wild hours do not change).

Where three days or more are known, the same hour of the earlier days has a range, too. A count is
usual if either range contains it: a campaign each day at ten raises no alarm.

Few messages raise no alarm. An alarm above takes ten opt-outs; an alarm below takes a median that
chance does not reduce to zero. At least a day must be known, and an unfinished hour cannot be too
quiet.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import sqrt
from statistics import median
from typing import Literal, NamedTuple

LEAST = 10  # opt-outs an hour that may raise an alarm
LEAST_HOURS = 24
LEAST_DAYS = 3
_BY_CHANCE = 8.0
_BY_ITSELF = 5.0
_LEAST_MEDIAN = 65  # below it, eight times the root is more, so no hour is too quiet
_NORMAL = 1.4826  # standard over median absolute deviation, if normal


Alarm = Literal["above", "below"]


class Usual(NamedTuple):
    """The range of opt-outs an hour that raises no alarm."""

    least: float
    most: float

    def alarm(self, count: int, *, over: bool) -> Alarm | None:
        """The alarm that a count raises, or None.

        Args:
            count: of an hour.
            over: whether the hour is over, so that the count is final.
        """
        if count > self.most:
            return "above"
        return "below" if over and count < self.least else None


@lru_cache(maxsize=32_768)  # the counts of past hours do not change
def usual(before: tuple[int, ...]) -> Usual | None:
    """The usual range of an hour, None if too little is known.

    Args:
        before: opt-outs of each earlier hour since the service's hours are known.
    """
    if len(before) < LEAST_HOURS:
        return None
    found = _range(before)
    days = before[-24::-24]
    if len(days) >= LEAST_DAYS:
        daily = _range(days)
        found = Usual(min(found.least, daily.least), max(found.most, daily.most))
    return found


def usual_until_now(days: Sequence[int]) -> Usual | None:
    """The usual range of a day's opt-outs until an hour, None if too few days are known.

    Args:
        days: opt-outs of each earlier day until the same hour.
    """
    return _range(days) if len(days) >= LEAST_DAYS else None


def may_be_unusual(count: int, total: int, hours: int) -> bool:
    """Quick check that a count may be out of the usual range; mostly it cannot.

    At least half of the hours have the median or more, so a small sum means a small median.

    Args:
        count: of an hour, or the highest of several.
        total: of the earlier hours, or more.
        hours: the number of these hours; a difference of one does not matter.
    """
    return count >= LEAST or 2 * total >= _LEAST_MEDIAN * (hours - 1)


def _range(counts: Sequence[int]) -> Usual:
    middle = median(counts)
    deviation = median(abs(count - middle) for count in counts)
    reach = max(_BY_CHANCE * sqrt(middle + 1), _BY_ITSELF * _NORMAL * deviation)
    return Usual(max(0.0, middle - reach), max(LEAST - 1.0, middle + reach))
