"""The review of a reported text: its states, and the steps between them (R30)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How far the review of a text is."""

    OPEN = "open"
    BLOCKED = "blocked"  # by its policy, at once
    CONFIRMED = "confirmed"  # a person read it and blocked the recipient
    DISMISSED = "dismissed"  # a person read it: not an opt-out
    UNDONE = "undone"  # a person took the block back: not an opt-out
    OVERDUE = "overdue"  # it was not reviewed in time, and the recipient was blocked


class Act(StrEnum):
    """A decision on a text."""

    CONFIRM = "confirm"
    DISMISS = "dismiss"
    UNDO = "undo"  # the last decision: of a dismissed text, the dismissal
    LET_BLOCK = "let-block"  # its time has passed


BLOCKING = frozenset({State.BLOCKED, State.CONFIRMED, State.OVERDUE})
"""States in which a text blocks its recipient."""
OPEN = frozenset({State.OPEN})

_NEXT = {
    (State.OPEN, Act.CONFIRM): State.CONFIRMED,
    (State.OPEN, Act.DISMISS): State.DISMISSED,
    (State.OPEN, Act.LET_BLOCK): State.OVERDUE,
    (State.BLOCKED, Act.CONFIRM): State.CONFIRMED,
    (State.BLOCKED, Act.UNDO): State.UNDONE,
    (State.CONFIRMED, Act.UNDO): State.UNDONE,
    (State.DISMISSED, Act.CONFIRM): State.CONFIRMED,
    (State.DISMISSED, Act.UNDO): State.OPEN,
    (State.UNDONE, Act.CONFIRM): State.CONFIRMED,
    (State.OVERDUE, Act.CONFIRM): State.CONFIRMED,
    (State.OVERDUE, Act.UNDO): State.UNDONE,
}
_LABELS = {
    State.CONFIRMED: "stop",
    State.DISMISSED: "not",
    State.UNDONE: "not",
}


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of an act on a text."""

    state: State
    blocked: bool | None  # the command to give; None: none


def step(before: State, act: Act, others: Iterable[State] = ()) -> Step | None:
    """The outcome of an act on a text; None if the act does not fit, such as to dismiss a block.

    Args:
        before: the text's state.
        act: the decision.
        others: states of the recipient's other texts; a block that any of them needs stays.
    """
    after = _NEXT.get((before, act))
    if after is None:
        return None
    if after in BLOCKING:
        return Step(after, blocked=True)
    if before in BLOCKING and BLOCKING.isdisjoint(others):
        return Step(after, blocked=False)
    return Step(after, blocked=None)


def label_of(state: State) -> str | None:
    """A person's opinion of a text, as training data has it; None if no person decided."""
    return _LABELS.get(state)
