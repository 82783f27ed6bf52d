"""Current activity for the console: single events, and figures of the last minute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

What = Literal["match", "change", "refusal"]
_MINUTE_S = 60


class LiveEvent(NamedTuple):
    """A match, a change of the block list, or a send that the gate refused."""

    at_ms: int
    account_sid: str
    service_sid: str | None
    what: What
    recipient: str  # masked
    text: str


class LastMinute:
    """How many events of each kind an account had in the last sixty seconds."""

    def __init__(self) -> None:
        self._seconds: dict[int, Counter[tuple[str | None, What]]] = {}  # None: all accounts

    def add(self, event: LiveEvent, now_s: float) -> None:
        """Count an event of the last minute; an event with a time in the future counts as now."""
        self._forget(now_s)
        second = min(event.at_ms // 1_000, int(now_s))
        if second > now_s - _MINUTE_S:
            counts = self._seconds.setdefault(second, Counter())
            counts.update([(event.account_sid, event.what), (None, event.what)])

    def counts(self, account_sid: str | None, now_s: float) -> Mapping[What, int]:
        """The counts of an account, or of all accounts if None."""
        self._forget(now_s)
        seconds = self._seconds.values()
        whats: tuple[What, ...] = get_args(What)
        return {what: sum(each[account_sid, what] for each in seconds) for what in whats}

    def _forget(self, now_s: float) -> None:
        for second in [each for each in self._seconds if each <= now_s - _MINUTE_S]:
            del self._seconds[second]


class Progress(NamedTuple):
    """A group's progress in its topics at a time."""

    at_s: float
    ends: int  # end offsets of all partitions, summed
    done: int  # committed offsets, summed


class Pace(NamedTuple):
    """How fast a group works."""

    lag: int
    arrived_a_second: float
    done_a_second: float


def pace_of(before: Progress, now: Progress) -> Pace:
    """The pace between two observations; negative rates, after a reset, count as zero."""
    seconds = max(now.at_s - before.at_s, 0.001)
    return Pace(
        max(0, now.ends - now.done),
        max(0, now.ends - before.ends) / seconds,
        max(0, now.done - before.done) / seconds,
    )


def masked(recipient: str) -> str:
    """The last two digits of a recipient, for a page that others may see."""
    return f"…{recipient[-2:]}"
