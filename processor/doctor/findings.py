"""The values of an examination: findings, and the result of each check."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WRONG = "wrong"
    SKIPPED = "skipped"  # a check that it needs found something wrong


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing."""

    what: str  # the place and the fault; contains no personal data and no secret
    remedy: str  # the action; empty if `what` names it
    is_wrong: bool = True

    def __str__(self) -> str:
        """A line for people."""
        return f"{self.what}; {self.remedy}" if self.remedy else self.what


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a check."""

    name: str
    state: State
    fact: str  # the figures of a good check, or why a check was skipped
    findings: Sequence[Finding]
    took_ms: int


def is_well(results: Iterable[Result]) -> bool:
    """Whether nothing is wrong; notes are not."""
    return all(one.state is State.OK for one in results)


def count(number: int, noun: str) -> str:
    """A number of things.

    >>> count(1, "key"), count(2_000, "key")
    ('1 key', '2,000 keys')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def some_of(names: Sequence[str], most: int = 3) -> str:
    """Name the first few of many things.

    >>> some_of(["a", "b", "c", "d"])
    'a, b, c and 1 more'
    """
    named, left = ", ".join(names[:most]), len(names) - most
    return f"{named} and {left:,} more" if left > 0 else named
