"""The history of each recipient's blocks: the small model that records are compared with."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from processor.audit.values import (
    Change,
    Mark,
    Notification,
    Partition,
    Place,
    Record,
    Ref,
    Standing,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Pools:
    """The senders of each service now, and the accounts that have ended."""

    services: Mapping[tuple[str, str], str] = field(default_factory=dict)  # by account and sender
    senders: Mapping[tuple[str, str], Collection[str]] = field(default_factory=dict)  # by service
    changed_ms: Mapping[str, int] = field(default_factory=dict)  # last change of each service
    ended_ms: Mapping[str, int] = field(default_factory=dict)  # first suspension of each account

    def of(self, account: str, service: str | None, at_ms: int, key: str) -> set[str] | None:
        """Find a service's senders that could reach a recipient at a time; None if unknown."""
        if service is None or self.changed_ms.get(service, at_ms) >= at_ms:
            return None
        whatsapp = "/whatsapp:" in key
        return {
            sender
            for sender in self.senders.get((account, service), ())
            if sender.startswith("whatsapp:") is whatsapp
        }


State = dict[Place, Change]  # the last change of each block

_R = TypeVar("_R", bound=Record)


class History:
    """The changes of an entry, and its blocks before and after each change."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self.states: list[State] = [{}]
        for change in changes:
            state = dict(self.states[-1])
            state.pop(change.place, None)
            if change.standing:
                state[change.place] = change
            self.states.append(state)
        self._marks = [change.mark for change in changes]

    def until(self, mark: Mark) -> int:
        """Count the changes up to a mark."""
        return bisect_right(self._marks, mark)


NO_HISTORY = History(())


def histories_of(partition: Partition) -> Mapping[str, History]:
    """Build the histories of all changed entries, by entry key."""
    of_key: dict[str, list[Change]] = defaultdict(list)
    for change in partition.changes:
        of_key[change.key].append(change)
    return {key: History(changes) for key, changes in of_key.items()}


def windows(
    causes: Sequence[_R], histories: Mapping[str, History]
) -> Iterator[tuple[_R, Sequence[Change], Sequence[State]]]:
    """Yield each cause with its changes and the states it may have left.

    A cause that changed nothing saw some state between the changes of its neighbours. Changes by
    other causes may fall in between, too.

    Args:
        causes: matches, or commands, in the order of their topic.
        histories: by entry key.
    """
    of_key: dict[str, list[_R]] = defaultdict(list)
    for cause in causes:
        of_key[cause.key].append(cause)
    for key, its in of_key.items():
        history = histories.get(key, NO_HISTORY)
        spans: dict[Ref, tuple[int, int]] = {}
        for index, change in enumerate(history.changes, 1):
            spans[change.ref] = (spans.get(change.ref, (index, index))[0], index)
        low, following = 0, len(history.changes)
        highs = []
        for cause in reversed(its):
            highs.append(following)
            following = spans.get(cause.ref, (following + 1, 0))[0] - 1
        for cause, high in zip(its, reversed(highs), strict=True):
            first, last = spans.get(cause.ref, (1, 0))
            if last:
                low = high = last
            yield cause, history.changes[first - 1 : last], history.states[low : high + 1]


def service_of(one: Verdict | Notification, pools: Pools) -> str | None:
    """Find the service of a conversation, named or implied by the sender (R1)."""
    return one.service or pools.services.get((one.account, one.sender or ""))


def stops(places: Iterable[Place], service: str | None, sender: str | None) -> bool:
    """Whether blocks at these places stop a sender."""
    return any(covers(place, service, sender) for place in places)


def covers(place: Place, service: str | None, sender: str | None) -> bool:
    """Whether a block at this place of an entry would stop a sender (R21)."""
    if place.scope == "account":
        return True
    return place.target == (service if place.scope == "service" else sender)


def standing_at(state: State, place: Place) -> Standing | None:
    """Find the block at a place."""
    change = state.get(place)
    return change.standing if change else None
