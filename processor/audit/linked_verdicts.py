"""Judge verdicts on sends to user ids by the lists of two partitions, once both are audited (R32).

The blocks of a linked user id are its number's. Its own from before the link count until they are
merged into the number's entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from processor.audit.history import Past, blocks_at, covers, mark_in
from processor.audit.letters import Letter
from processor.audit.people_state import Link
from processor.audit.report import Findings
from processor.audit.services import Services, Unknown
from processor.audit.state import PartitionState
from processor.audit.values import Mark, State
from processor.audit.verdict_rules import is_right, service_of


@dataclass(frozen=True, slots=True)
class _Look:
    """An entry at a mark."""

    mark: Mark
    blocks: State
    later: Sequence[Past]  # its changes after the mark, oldest first
    is_last: bool  # no known change of the partition is later: the mark's batch may have died

    def states(self, until_ms: int) -> Iterator[State]:
        """Yield the blocks, and those that they may have been if the mark's batch died."""
        yield self.blocks
        if not self.later or self.later[0].mark.epoch == self.mark.epoch:
            return
        blocks = dict(self.blocks)
        for past in self.later:
            blocks.pop(past.place, None)
            if past.after is not None:
                blocks[past.place] = past.after
            if past.since_ms <= until_ms:
                yield dict(blocks)


class _Known(NamedTuple):
    """The marks between which the blocks of a partition are known."""

    since: Mark
    last: Mark  # of the last change


@dataclass(frozen=True, slots=True)
class _Seen:
    """The entries by which a verdict was judged."""

    own: _Look
    link: Link | None = None
    of_number: _Look | None = None
    merged: bool | None = None  # whether the number's entry had the id's blocks; None: unknown

    @property
    def last(self) -> _Look:
        """The look at the person's blocks."""
        return self.of_number or self.own

    def states(self, until_ms: int) -> Iterator[State]:
        """Yield every state that the verdict may have been judged by."""
        if self.link is None or self.of_number is None:
            yield from self.own.states(until_ms)
            return
        if self.link.mark > self.own.mark:  # the link may be of a later batch
            yield from self.own.states(until_ms)
        for blocks in self.of_number.states(until_ms):
            if self.merged is not False:
                yield blocks
            if self.merged is not True:
                yield {**self.own.blocks, **blocks}


class LinkedVerdicts:
    """Judges letters.

    Args:
        states: of the partitions that were audited.
        services: as they were at every time.
        findings: to add to.
        skew_ms: by which clocks may differ.
    """

    def __init__(
        self,
        states: Mapping[int, PartitionState],
        services: Services,
        findings: Findings,
        skew_ms: int,
    ) -> None:
        self._states, self._services = states, services
        self._known = {partition: _known_of(state) for partition, state in states.items()}
        self._findings, self._skew_ms = findings, skew_ms

    def judge(self, letter: Letter, *, is_final: bool = False) -> bool:
        """Judge a verdict; return whether it is done.

        Args:
            letter: with the verdict.
            is_final: no later change can say more.
        """
        seen = self._seen(letter)
        if seen is None:
            self._findings.counts["not_checked"] += 1
            return True
        if seen.link and not seen.of_number and seen.link.mark <= letter.mark:
            self._wrong(letter, "was judged without the list of its person's number")
            return True
        try:
            if not self._fits(letter, seen):
                if not is_final and (seen.own.is_last or seen.last.is_last):
                    return False
                self._is_wrong(letter)
            self._compare_times(letter, seen)
        except Unknown:
            self._findings.counts["not_checked"] += 1
            return True
        self._findings.counts["judged_by_a_link"] += seen.of_number is not None
        return True

    def _seen(self, letter: Letter) -> _Seen | None:
        """Look at the entries of a verdict; None where they cannot be known."""
        own = self._look(letter.at, letter.key, letter.mark)
        if own is None:
            return None
        link = self._states[letter.at].people.link_of(letter.key)
        marks = dict(letter.others)
        if link is None or link.partition not in marks:
            return _Seen(own, link)
        of_number = self._look(link.partition, link.number, marks[link.partition])
        if of_number is None:
            return None
        people = self._states[link.partition].people
        named = people.merged_at(link.number, letter.key)
        return _Seen(own, link, of_number, _is_merged(own, of_number, named))

    def _look(self, partition: int, key: bytes, mark: Mark) -> _Look | None:
        known = self._known.get(partition)
        if known is None or mark < known.since:
            return None
        blocks, later = blocks_at(self._states[partition], key, mark)
        return _Look(mark, blocks, later, mark > known.last)

    def _fits(self, letter: Letter, seen: _Seen) -> bool:
        one, config = letter.one, letter.config
        until_ms = one.verdict.at_ms + self._skew_ms
        return any(
            not (state or one.verdict.refused_by) or is_right(self._services, one, state, config)
            for state in seen.states(until_ms)
        )

    def _is_wrong(self, letter: Letter) -> None:
        if letter.one.verdict.refused_by is None:
            self._leak(letter, f"{letter.did} at a mark at which a block was in force")
        else:
            self._wrong(letter, "names a block that was not in force at its mark")

    def _compare_times(self, letter: Letter, seen: _Seen) -> None:
        """Check that it was judged by everything that was visible before the send (R25)."""
        one = letter.one
        if one.verdict.refused_by is not None:
            return
        after = one.send.after
        if after is not None:  # a mark of either list
            if max(seen.own.mark, seen.last.mark) < after:
                self._leak(letter, "was judged without a confirmation that its writer had seen")
            return
        for past in seen.last.later:
            if self._is_ignored(letter, past):
                self._leak(letter, f"was judged without {past.change_id}, which is older")
                return

    def _is_ignored(self, letter: Letter, past: Past) -> bool:
        its = letter.one.send
        is_new = past.after is not None and past.before is None
        if not is_new or past.at_ms + self._skew_ms >= its.at_ms:
            return False
        service = service_of(self._services, letter.one, letter.config)
        return covers(past.place, service, its.sender)

    def _leak(self, letter: Letter, what: str) -> None:
        self._findings.add("leak", letter.where, what)

    def _wrong(self, letter: Letter, what: str) -> None:
        self._findings.add("contradictory", letter.where, what, letter.one.at_ms)


def _known_of(state: PartitionState) -> _Known | None:
    if state.get("has_whole_history") == "False":
        return None
    return _Known(mark_in(state.get("pasts_forgotten")), mark_in(state.get("last_mark")))


def _is_merged(own: _Look, of_number: _Look, named: Mark | None) -> bool | None:
    """Whether a number's entry had the blocks of a user id.

    Args:
        own: the id's entry.
        of_number: the number's entry.
        named: a mark at which the number's entry surely named the id.
    """
    if named is not None and named <= of_number.mark:
        return True
    sources = {one for block in own.blocks.values() for one in block.standing.sources}
    for past in of_number.later:
        if past.mark.epoch != of_number.mark.epoch:
            break  # the mark's batch may have died
        before, after = (
            set() if block is None else block.standing.sources & sources
            for block in (past.before, past.after)
        )
        if after - before:
            return False  # they were merged by this change
    return None
