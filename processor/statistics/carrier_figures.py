"""A process's counts of its carriers, and the state of each, between two records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Part = Literal["inbound", "outbound"]

_MOST_KINDS = 20  # of a carrier's errors between two records
_LONGEST = 200  # characters


@dataclass(frozen=True, slots=True)
class ErrorSeen:
    """An error of a carrier, in our own words: the provider's may quote a message."""

    what: str
    code: int | None  # the provider's
    count: int
    at_ms: int  # of the last


@dataclass(frozen=True, slots=True)
class State:
    """How a carrier is in one process."""

    waiting: int = 0  # messages in hand
    paused: bool = False  # its circuit is open: it failed too often
    at_limit: bool = False  # whether its pace lets no message through now
    closed: Sequence[str] = ()  # names of secrets that the process cannot open


@dataclass(frozen=True, slots=True)
class Figure:
    """A carrier in one process, over the seconds since the process's last record."""

    carrier: str
    process: str
    part: Part
    until_ms: int
    counts: Mapping[str, int]  # by result or kind; they have different names
    errors: Sequence[ErrorSeen] = ()
    state: State = field(default_factory=State)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing happened, and nothing needs a person."""
        return not self.counts and not self.errors and self.state == State()


class Tally:
    """Adds up results and errors by carrier until they are taken."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._errors: dict[str, dict[tuple[str, int | None], ErrorSeen]] = {}

    def count(self, carrier: str, result: str, number: int = 1) -> None:
        """Count a result."""
        self._counts.setdefault(carrier, Counter())[result] += number

    def error(self, carrier: str, what: str, at_ms: int, code: int | None = None) -> None:
        """Note an error; beyond twenty kinds, further kinds are left out.

        Args:
            carrier: its name.
            what: words without anything of a message.
            at_ms: since 1970.
            code: the provider's.
        """
        seen = self._errors.setdefault(carrier, {})
        key = what[:_LONGEST], code
        if key in seen or len(seen) < _MOST_KINDS:
            before = seen[key].count if key in seen else 0
            seen[key] = ErrorSeen(*key, before + 1, at_ms)

    def take(
        self, part: Part, process: str, states: Mapping[str, State], now_ms: int
    ) -> list[Figure]:
        """The figures of every carrier, counted since the last call.

        Args:
            part: of the process.
            process: its name.
            states: of all carriers, by name; others were deleted, and are left out.
            now_ms: since 1970.
        """
        counts, self._counts = self._counts, {}
        errors, self._errors = self._errors, {}
        return [
            Figure(
                name,
                process,
                part,
                now_ms,
                counts.get(name, {}),
                tuple(errors.get(name, {}).values()),
                state,
            )
            for name, state in states.items()
        ]


class Quiet:
    """Leaves out the figures of quiet carriers, except now and then.

    Args:
        every_ms: after which a quiet carrier has a figure, so that readers know the process.
    """

    def __init__(self, every_ms: int) -> None:
        self._every_ms = every_ms
        self._last: dict[str, Figure] = {}

    def worth(self, figures: Iterable[Figure]) -> list[Figure]:
        """The figures to write."""
        chosen = [one for one in figures if self._says_something(one)]
        self._last |= {one.carrier: one for one in chosen}
        return chosen

    def _says_something(self, figure: Figure) -> bool:
        last = self._last.get(figure.carrier)
        if last is None or not figure.is_quiet or not last.is_quiet:
            return True
        return figure.until_ms - last.until_ms >= self._every_ms
