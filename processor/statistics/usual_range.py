"""Where a service's opt-outs an hour leave their usual range: an alarm from its own past alone.

The range is the median of the hours before, and to either side the larger of two reaches: eight
times what chance does to a steady rate (Poisson: the root of the rate, which is up to one more than
its median), and five times what this service's hours do (the median absolute deviation, which a few
wild hours do not move). Where three days or more are known, the same hour of the earlier days has a
range too, and what either calls usual is: a campaign each day at ten is no alarm.

Few messages raise none: above, it takes ten opt-outs; below, a median that chance does not bring to
nothing. A day must be known, and an hour that still runs cannot be too quiet yet.
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
_LEAST_MEDIAN = 65  # below this, no hour is too quiet: eight times its root is more
_NORMAL = 1.4826  # a normal distribution's deviation over its median absolute deviation


Alarm = Literal["above", "below"]


class Usual(NamedTuple):
    """Opt-outs an hour that are nothing unusual."""

    least: float
    most: float

    def alarm(self, count: int, *, over: bool) -> Alarm | None:
        """What a count is, outside the range.

        Args:
            count: of an hour.
            over: whether the hour is, so that no more can come.
        """
        if count > self.most:
            return "above"
        return "below" if over and count < self.least else None


@lru_cache(maxsize=32_768)  # an hour's, and the last one's, stay the same while they are looked at
def usual(before: tuple[int, ...]) -> Usual | None:
    """The usual range of an hour, None where too little is known.

    Args:
        before: opt-outs of each hour before it, since the service is there and its hours are known.
    """
    if len(before) < LEAST_HOURS:
        return None
    found = _range(before)
    days = before[-24::-24]
    if len(days) >= LEAST_DAYS:
        daily = _range(days)
        found = Usual(min(found.least, daily.least), max(found.most, daily.most))
    return found


def may_be_unusual(count: int, total: int, hours: int) -> bool:
    """Whether a count can be out of the usual range at all: mostly not, and this tells it fast.

    Half of the hours at least have the median or more, so a sum tells that it is small.

    Args:
        count: of an hour, or the most of several.
        total: of the hours before, or more.
        hours: how many these are; one more does not matter.
    """
    return count >= LEAST or 2 * total >= _LEAST_MEDIAN * (hours - 1)


def _range(counts: Sequence[int]) -> Usual:
    middle = median(counts)
    deviation = median(abs(count - middle) for count in counts)
    reach = max(_BY_CHANCE * sqrt(middle + 1), _BY_ITSELF * _NORMAL * deviation)
    return Usual(max(0.0, middle - reach), max(LEAST - 1.0, middle + reach))
