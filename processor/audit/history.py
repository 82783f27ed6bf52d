"""The blocks of each recipient: as they are at a mark, and lately were."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import orjson

from processor.audit.state import PartitionState, pack_block, unpack_block
from processor.audit.values import (
    NO_MARK,
    Block,
    Change,
    Mark,
    Place,
    State,
    digest,
)

_ANSWERED_MS = 600_000  # carriers answer long before
_WHATSAPP = "/whatsapp:"  # in the keys of entries that links may lead to
_KEPT = 1_000  # changes whose outcome can be taken back, to find what was there before


class Past(NamedTuple):
    """A change that was applied, with what was there before."""

    number: int
    key: bytes  # digest of the entry's key
    place: Place
    before: Block | None
    after: Block | None
    mark: Mark
    at_ms: int
    since_ms: int
    change_id: str


class Histories:
    """The present blocks, and the last changes.

    Args:
        state: holds the blocks.
    """

    def __init__(self, state: PartitionState) -> None:
        self._state = state
        self._order: deque[Past] = deque()
        self._of_key: dict[bytes, deque[Past]] = {}
        self._count = 0
        self.last = mark_in(state.get("last_mark"))  # of the last change
        self.forgotten = 0  # number of the last change that cannot be taken back
        self.forgotten_mark = mark_in(state.get("forgotten_mark"))  # and its mark
        for fields in orjson.loads(state.get("recent") or b"[]"):
            self._keep(_past(self._count + 1, *fields))

    def now(self, key: bytes) -> State:
        """Find the present blocks."""
        return self._state.entry(key)[0]

    @property
    def count(self) -> int:
        """The number of the last change."""
        return self._count

    @property
    def latest(self) -> Past:
        """The last change that was applied."""
        return self._order[-1]

    def at(self, key: bytes, mark: Mark) -> tuple[State, Sequence[Past]]:
        """Find the blocks at a mark, and the later changes that were applied, oldest first."""
        state = self.now(key)
        later: list[Past] = []
        for past in reversed(self._of_key.get(key, ())):
            if past.mark <= mark:
                break
            state = _taken_back(state, past)
            later.append(past)
        return state, later[::-1]

    def since(self, key: bytes, number: int) -> Iterator[State]:
        """Yield the present blocks, then those before each change after a number, latest first."""
        state = self.now(key)
        yield state
        for past in reversed(self._of_key.get(key, ())):
            if past.number <= number:
                return
            state = _taken_back(state, past)
            yield state

    def apply(self, change: Change) -> State:
        """Apply a change, and return the blocks it leaves."""
        key = digest(change.key)
        before = self.now(key)
        state = dict(before)
        gone = state.pop(change.place, None)
        mark = change.mark or NO_MARK
        after = None
        if change.standing is not None:
            asked_ms = gone.asked_ms if gone else 0
            after = state[change.place] = Block(change.place, change.standing, mark, asked_ms)
        self.last = max(self.last, mark)
        self._state.set_entry(key, state, mark)
        past = Past(
            self._count + 1,
            key,
            change.place,
            gone,
            after,
            mark,
            change.at_ms,
            change.since_ms,
            change.id,
        )
        self._keep(past)
        if _WHATSAPP in change.key:
            self._state.people.keep_past(key, mark, past.at_ms, orjson.dumps(_packed(past)))
        return state

    def ask(self, key: bytes, at_ms: int) -> None:
        """Note that a STOP asked again for the blocks that keywords made."""
        state, mark = self._state.entry(key)
        asked = {
            place: block._replace(asked_ms=at_ms)
            for place, block in state.items()
            if any(source.kind == "keyword" for source in block.standing.sources)
        }
        if asked and mark is not None:
            self._state.set_entry(key, {**state, **asked}, mark)

    def _keep(self, past: Past) -> None:
        self._count = past.number
        self._order.append(past)
        self._of_key.setdefault(past.key, deque()).append(past)
        if len(self._order) > _KEPT:
            oldest = self._order.popleft()
            self.forgotten = oldest.number
            self.forgotten_mark = max(self.forgotten_mark, oldest.mark)
            own = self._of_key[oldest.key]
            own.popleft()
            if not own:
                del self._of_key[oldest.key]

    def saved(self, judged: Mark) -> dict[str, str]:
        """Make the values that a later run goes on from.

        Args:
            judged: mark of the last verdict; later changes may have to be taken back. So may
                changes shortly before, as a carrier's status comes after the carrier's answer.
        """
        since_ms = self._order[-1].at_ms - _ANSWERED_MS if self._order else 0
        keeps = [past.mark > judged or past.at_ms > since_ms for past in self._order]
        recent = [_packed(past) for past, kept in zip(self._order, keeps, strict=True) if kept]
        gone = [past.mark for past, kept in zip(self._order, keeps, strict=True) if not kept]
        return {
            "last_mark": str(self.last),
            "forgotten_mark": str(max([self.forgotten_mark, *gone])),
            "recent": orjson.dumps(recent).decode(),
        }


def blocks_at(state: PartitionState, key: bytes, mark: Mark) -> tuple[State, Sequence[Past]]:
    """Find an entry's blocks on WhatsApp at a mark, and the later changes, oldest first.

    Args:
        state: of the entry's partition, written; the partition's audit has ended.
        key: digest of the entry's key.
        mark: at or behind ``pasts_forgotten`` of the state.
    """
    blocks = state.entry(key)[0]
    later = [_past(0, *orjson.loads(one)) for one in state.people.pasts(key, mark)]
    for past in later:
        blocks = _taken_back(blocks, past)
    return blocks, later[::-1]


def mark_in(text: str | None) -> Mark:
    """Read a mark of the state."""
    return Mark(*map(int, text.split("-"))) if text else NO_MARK


def _taken_back(state: State, past: Past) -> State:
    before = dict(state)
    before.pop(past.place, None)
    if past.before is not None:
        before[past.place] = past.before
    return before


def _packed(past: Past) -> list[object]:
    before, after = (None if one is None else pack_block(one) for one in (past.before, past.after))
    times = past.at_ms, past.since_ms
    where, mark = list(past.place), list(past.mark)
    return [past.key.hex(), where, before, after, mark, *times, past.change_id]


def _past(
    number: int,
    key: str,
    place: tuple[str, str, bool],
    before: list[object] | None,
    after: list[object] | None,
    mark: tuple[int, int],
    at_ms: int,
    since_ms: int,
    change_id: str,
) -> Past:
    were, are = (None if one is None else unpack_block(*one) for one in (before, after))  # type: ignore[arg-type]  # JSON
    where, at = Place(*place), Mark(*mark)
    return Past(number, bytes.fromhex(key), where, were, are, at, at_ms, since_ms, change_id)


def stops(places: Iterable[Place], service: str | None, sender: str | None) -> bool:
    """Whether blocks at these places stop a sender."""
    return any(covers(place, service, sender) for place in places)


def covers(place: Place, service: str | None, sender: str | None) -> bool:
    """Whether a block at this place of an entry would stop a sender (R21)."""
    if place.scope == "account":
        return True
    return place.target == (service if place.scope == "service" else sender)
