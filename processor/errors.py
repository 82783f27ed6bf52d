"""The exceptions, ordered by their consequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or worth a look, in what a person edits."""

    place: tuple[str, ...]  # keys and indexes from the document's top, () for all of it
    code: str  # for programs; unlike the text it never changes
    text: str  # the fault and the remedy, without the place
    where: tuple[str, ...] = ()  # the file and the document, outermost first
    source: str = ""  # the law, rule or page that asks for it, if there is one

    def __str__(self) -> str:
        """A line for people: where, place and text."""
        return ": ".join([*self.where, *filter(None, [".".join(self.place)]), self.text])

    def under(self, *place: str) -> Problem:
        """The problem as part of a larger document."""
        return replace(self, place=(*place, *self.place))

    def within(self, *where: str) -> Problem:
        """The problem as part of a named document or file."""
        return replace(self, where=(*where, *self.where))


class ConfigError(Exception):
    """Do not start: every problem of a configuration.

    Args:
        problems: a line whose place and code no caller needs.
    """

    def __init__(self, problems: Sequence[Problem | str]) -> None:
        self.values = tuple(
            one if isinstance(one, Problem) else Problem((), "refused", one) for one in problems
        )
        self.problems = [str(one) for one in self.values]
        super().__init__("; ".join(self.problems))


class EditRefused(ConfigError):
    """An edit of the configuration breaks a rule of the installation; nothing is written.

    Args:
        problems: each with its place and what to do; they name no other account.
        code: Twilio's error code.
    """

    def __init__(self, problems: Sequence[Problem | str], *, code: int = 20001) -> None:
        super().__init__(problems)
        self.code = code


class RecordError(Exception):
    """Dead-letter the record and continue; the message is the reason, free of personal data."""


class UnreadableEntry(Exception):
    """An entry of the block list cannot be read: its recipient counts as blocked."""


class RetryableError(Exception):
    """Hold the offset, back off, take the partition again.

    Args:
        why: the reason, for people.
        everywhere: whether every other worker would fail the same way; None: the class's default.
    """

    everywhere = False

    def __init__(self, why: str = "", *, everywhere: bool | None = None) -> None:
        super().__init__(why)
        if everywhere is not None:
            self.everywhere = everywhere


class StoreUnavailable(RetryableError):
    """Redis did not answer; nothing is known to be written."""


class BrokerUnavailable(RetryableError):
    """Kafka did not answer; the outcome of an open transaction is unknown."""


class ListLost(RetryableError):
    """The served block list is not the list last written: emptied, rolled back or re-created."""

    everywhere = True


class NewerFormat(RetryableError):
    """A newer version wrote the stored data: wait until this worker is updated."""

    everywhere = True


class PositionRefused(RetryableError):
    """A committed offset is not credible: wait until a person sets it."""

    everywhere = True


class TooManyFaults(RetryableError):
    """Our code fails at one record after another: leave them in place until it is fixed."""

    everywhere = True


class Fenced(RetryableError):
    """Another process owns the partition: leave the group before trying again."""
