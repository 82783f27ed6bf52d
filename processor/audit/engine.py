"""Merges the streams of one partition in the order of marks, and keeps where it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from processor.audit.context import Context
from processor.audit.gate_side import GateSide
from processor.audit.hand_overs import HandOverSide
from processor.audit.history import Past
from processor.audit.list_side import ListSide, note_names
from processor.audit.match_side import MatchSide, MatchStreams
from processor.audit.parsing import KafkaRecord
from processor.audit.reply_checks import BRAKES_MS
from processor.audit.streams import Counted, Stream
from processor.audit.values import (
    ALLOWED,
    CHANGES,
    COMMANDS,
    DELIVERIES,
    HAND_OVERS,
    INBOUND,
    LIST,
    NOTIFICATIONS,
    OUTBOUND,
    REPLIES,
    STATUSES,
    SUSPECTED,
    Entry,
    HandOver,
    State,
    Verdict,
    canonical,
    digest,
)

_MOST_UNWRITTEN = 1_000
_ANSWERED_MS = 3_600_000  # carriers answer long before


@dataclass(frozen=True, slots=True)
class Streams:
    """All topics of a partition."""

    match: MatchStreams
    sends: Stream[KafkaRecord]
    allowed: Stream[Verdict]
    failed: Stream[Verdict]
    hand_overs: Stream[HandOver]
    entries: Stream[Entry]

    def by_topic(self) -> dict[str, Counted]:
        """Every stream by its topic, without the prefix."""
        return {
            INBOUND: self.match.messages,
            COMMANDS: self.match.commands,
            NOTIFICATIONS: self.match.notifications,
            REPLIES: self.match.replies,
            SUSPECTED: self.match.reports,
            DELIVERIES: self.match.deliveries,
            CHANGES: self.match.changes,
            OUTBOUND: self.sends,
            ALLOWED: self.allowed,
            STATUSES: self.failed,
            HAND_OVERS: self.hand_overs,
            LIST: self.entries,
        }


class Engine:
    """The audit of a partition.

    Args:
        context: of the partition.
        streams: of its topics.
        on_batch: called after each batch, to show progress.
    """

    def __init__(
        self, context: Context, streams: Streams, on_batch: Callable[[], None] = lambda: None
    ) -> None:
        self._context = context
        self._streams = streams
        self._on_batch = on_batch
        self._gate = GateSide(context, streams.sends, streams.allowed, streams.failed)
        self._hand_overs = HandOverSide(context, streams.hand_overs)
        self._all_checks = (self._gate.checks, self._hand_overs.checks)
        self._match = MatchSide(context, streams.match, self._changed)
        self._list = ListSide(context, streams.entries)

    async def run(self) -> Mapping[str, str]:
        """Check the range; return the values that the next run goes on from."""
        context = self._context
        self._forget_pasts()
        while (mark := await self._match.next_mark()) is not None:
            await self._see_next_change()
            await self._gate.until(mark)
            await self._hand_overs.until(mark)
            await self._match.batch(mark)
            await self._list.until(mark)
            if context.state.unwritten > _MOST_UNWRITTEN:
                context.state.write(self.forget_before_ms)
            self._on_batch()
        await self._see_next_change()
        await self._gate.until(None)
        await self._match.end()
        await self._hand_overs.until(None)
        return self._saved()

    def _forget_pasts(self) -> None:
        """Forget changes that no later verdict by a link was judged without."""
        state = self._context.state
        if forgotten := state.people.forget_pasts(self._context.last_ms - _ANSWERED_MS):
            state.put({"pasts_forgotten": str(forgotten)})

    async def _see_next_change(self) -> None:
        """Tell the gate's side which change comes next, in the range or behind it."""
        change = await self._streams.match.changes.look()
        self._context.next_change = None
        if change is not None and change.mark is not None:
            self._context.next_change = change.mark, change.at_ms
            for checks in self._all_checks:
                checks.passed(change.at_ms, change.mark)

    def _changed(self, past: Past, state: State) -> None:
        for checks in self._all_checks:
            checks.changed(past, state)

    @property
    def forget_before_ms(self) -> int:
        """Time before which ids and replies are forgotten, UTC."""
        return self._context.last_ms - 2 * max(self._context.dedupe_ms, BRAKES_MS)

    def _saved(self) -> Mapping[str, str]:
        context = self._context
        positions = {
            f"next {topic}": str(stream.next) for topic, stream in self._streams.by_topic().items()
        }
        return {
            **positions,
            **context.histories.saved(self._gate.judged),
            "last_ms": str(context.last_ms),
            "judged": str(self._gate.judged),
            "gate_config": str(self._gate.checks.config),
            "hand_over_config": str(self._hand_overs.checks.config),
            "match_config": str(self._match.config),
        }

    async def later_entries(self) -> dict[bytes, tuple[int, bytes]]:
        """Read the rest of the list: recipients to the offset and digest of their last record."""
        found = {}
        while (entry := await self._streams.entries.look()) is not None:
            self._streams.entries.take()
            said = canonical(entry.blocks, entry.lasts) if entry.blocks else b""
            found[digest(entry.key)] = entry.offset, said
            note_names(self._context, entry)
        return found

    def check_list(self, later: Mapping[bytes, tuple[int, bytes]]) -> None:
        """Report changes that the list lacks; ``later`` is of ``later_entries``."""
        self._context.state.write(self.forget_before_ms)
        self._list.unlisted(later)

    async def look_ahead(self) -> None:
        """See what later changes say of verdicts that are not clear; the state must be saved."""
        changes = self._streams.match.changes
        while self._waits and (await changes.look()) is not None:
            await self._see_next_change()
            if not self._waits:
                break
            state = self._context.histories.apply(changes.take())
            self._changed(self._context.histories.latest, state)
        for checks in self._all_checks:
            checks.end()

    @property
    def _waits(self) -> bool:
        return any(checks.waits for checks in self._all_checks)
