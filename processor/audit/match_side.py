"""Check what messages and commands led to: notifications, replies, changes, deliveries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from processor.audit.changes import (
    applied,
    asks,
    commands,
    is_for_all,
    lost_by,
    took_effect,
    wrong_with,
    wrongly_by_command,
    wrongly_by_start,
)
from processor.audit.command_checks import CommandChecks
from processor.audit.context import Context
from processor.audit.history import Past, stops
from processor.audit.keywords import Found
from processor.audit.message_checks import MessageChecks
from processor.audit.parsing import KafkaRecord
from processor.audit.reply_checks import Asked, wrong_replies
from processor.audit.streams import Stream
from processor.audit.values import (
    CHANGES,
    COMMANDS,
    INBOUND,
    NOTIFICATIONS,
    Caused,
    Change,
    Command,
    Delivery,
    Mark,
    Notification,
    Reply,
    Report,
    Source,
    State,
    Way,
    digest,
)
from processor.audit.ways import JOINED, wrong_join

OnChange = Callable[[Past, State], None]


@dataclass(slots=True)
class _Waiting:
    """A match without a change: it saw some state between those of its neighbours."""

    note: Notification
    asked: Asked | None
    states: list[State] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MatchStreams:
    """The topics that match reads and writes, but the list."""

    messages: Stream[KafkaRecord]
    commands: Stream[KafkaRecord]
    notifications: Stream[Notification]
    replies: Stream[Reply]
    reports: Stream[Report]
    deliveries: Stream[Delivery]
    changes: Stream[Change]


class MatchSide:
    """Replays the partition's batches in the order of their marks.

    Args:
        context: of the partition.
        streams: of its topics.
        on_change: called with each change that was applied, and the blocks it leaves.
    """

    def __init__(self, context: Context, streams: MatchStreams, on_change: OnChange) -> None:
        self._context = context
        self._streams = streams
        self._on_change = on_change
        self._messages = MessageChecks(
            context, streams.messages, streams.replies, streams.reports, streams.deliveries
        )
        self._commands = CommandChecks(context, streams.commands)
        self._last = context.histories.last
        self._sources: dict[tuple[str, str], int] = {}  # offset of the last cause, by topic

    @property
    def config(self) -> int:
        """How far the services were read for the last decision."""
        return self._messages.config

    async def next_mark(self) -> Mark | None:
        """Find the mark of the next batch; None where the range ends."""
        note, change = await self._next_note(), await self._next_change()
        marks = [one.mark for one in (note, change) if one is not None and one.mark is not None]
        return min(marks) if marks else None

    async def _next_note(self) -> Notification | None:
        stream, floor = self._streams.notifications, self._context.range.floor[INBOUND]
        while (note := await stream.look()) is not None:
            if note.source is None or note.mark is None:
                self._context.found("contradictory", NOTIFICATIONS, note, "names no cause or mark")
                stream.take()
            elif note.source < floor:
                self._context.handle(note.ref, note.at_ms)
                stream.take()
            else:
                return note if note.source < self._context.range.end[INBOUND] else None
        return None

    async def _next_change(self) -> Change | None:
        change = await self._streams.changes.look()
        if change is None or change.moved or change.source is None:
            return change
        topic = INBOUND if change.is_by_message else COMMANDS
        return change if change.source < self._context.range.end[topic] else None

    async def batch(self, mark: Mark) -> None:
        """Check and apply the batch of a mark."""
        changes, notes = [], []
        while (change := await self._next_change()) is not None and change.mark == mark:
            changes.append(self._streams.changes.take())
        while (note := await self._next_note()) is not None and note.mark == mark:
            notes.append(self._streams.notifications.take())
        if changes and mark < self._last:
            what = "its mark is lower than the mark before it"
            self._context.found("reordered", CHANGES, changes[0], what)
        self._last = max(self._last, mark)
        self._in_order(NOTIFICATIONS, notes)
        for topic, by_message in ((INBOUND, True), (COMMANDS, False)):
            ones = [one for one in changes if one.is_by_message is by_message and not one.moved]
            self._in_order(CHANGES, ones, of=topic)
        last_ms = max(one.at_ms for one in (*changes, *notes))
        self._context.last_ms = max(self._context.last_ms, last_ms)
        causes = [list(ones) for _, ones in groupby(changes, key=attrgetter("source", "ref"))]
        await self._replay(causes, notes)

    def _in_order(self, topic: str, ones: Sequence[Caused], of: str = INBOUND) -> None:
        """Check that records come in the order of their causes (R23)."""
        for one in ones:
            last = self._sources.get((topic, of), -1)
            if one.source is not None and one.source < last:
                what = "comes after what a later record caused"
                self._context.found("reordered", topic, one, what)
            self._sources[topic, of] = max(last, one.source or 0)

    async def _replay(self, causes: Sequence[list[Change]], notes: Sequence[Notification]) -> None:
        """Go through a batch; matches without changes lie somewhere between the others."""
        with_changes = {ones[0].source for ones in causes if ones[0].is_by_message}
        own = {note.source: note for note in notes if note.source in with_changes}
        plain = [note for note in notes if note.source not in with_changes]
        waiting: list[_Waiting] = []
        for index, changes in enumerate(causes):
            following = next(
                (ones[0].source for ones in causes[index:] if ones[0].is_by_message), None
            )
            plain = await self._wait(plain, following, waiting)
            if changes[0].is_by_message:
                self._settle(waiting)
                await self._by_message(own.pop(changes[0].source, None), changes)
            else:
                await self._by_command(changes)
                for one in waiting:
                    if one.note.key == changes[0].key:
                        one.states.append(self._now(one.note))
        await self._wait(plain, None, waiting)
        self._settle(waiting)

    async def _wait(
        self, plain: list[Notification], before: int | None, waiting: list[_Waiting]
    ) -> list[Notification]:
        """Begin with the matches before a message; return the others."""
        count = 0
        for note in plain:
            if before is not None and note.source is not None and note.source >= before:
                break
            count += 1
            asked = await self._messages.message_of(note)
            waiting.append(_Waiting(note, asked, [self._now(note)]))
        return plain[count:]

    def _settle(self, waiting: list[_Waiting]) -> None:
        for one in waiting:
            self._match(one.note, one.asked, (), one.states)
        waiting.clear()

    def _now(self, note: Notification) -> State:
        return self._context.histories.now(digest(note.key))

    async def _by_message(self, note: Notification | None, changes: list[Change]) -> None:
        asked = await self._messages.message_of(note) if note else None
        message = asked.message if asked else None
        before = self._context.histories.now(digest(changes[0].key))
        way = message.way if message else None
        if note is None:
            way = await self._unread_or_wrong(changes)
        else:
            for_all = is_for_all(before, changes)
            for change in changes:
                if change.kind_of_source != JOINED and not asks(note, change, for_all=for_all):
                    what = "the match that caused it did not ask for it"
                    self._context.found("contradictory", CHANGES, change, what)
        self._apply(
            changes,
            before,
            lambda change, lost: (
                wrongly_by_start(change, note, message, lost)
                if note is not None and change.kind == "START"
                else None
            ),
            way,
        )
        if note is not None:
            self._match(note, asked, changes, [self._now(note)])

    async def _unread_or_wrong(self, changes: list[Change]) -> Way | None:
        """Check changes of a message without a notification: an unread STOP, or merged blocks.

        Returns:
            How the message came that merged them.
        """
        context, first = self._context, changes[0]
        if first.moved or self._is_before(first):
            return None
        source = first.source
        if source is not None and all(one.kind_of_source == JOINED for one in changes):
            return await self._messages.way_of(source)
        is_unread = first.kind_of_source == "unread-stop" and source is not None
        if is_unread and source is not None:
            named = f"unread-{context.number}-{source}"
            if first.cause == named and context.is_put_aside(INBOUND, source):
                return None
        what = "neither a match nor a command asked for it"
        context.found("contradictory", CHANGES, first, what)
        return None

    def _is_before(self, change: Change) -> bool:
        """Whether a change's cause is before the range, so that it may be gone."""
        topic = INBOUND if change.is_by_message else COMMANDS
        return change.source is not None and change.source < self._context.range.floor[topic]

    async def _by_command(self, changes: list[Change]) -> None:
        first = changes[0]
        before = self._context.histories.now(digest(first.key))
        command: Command | None = None
        if not first.moved and not self._is_before(first):
            command = await self._commands.command_of(first)
            joins = command is not None and command.about is not None
            if command is None or not (
                joins or all(commands(command, change) for change in changes)
            ):
                what = "neither a match nor a command asked for it"
                self._context.found("contradictory", CHANGES, first, what)
        self._apply(
            changes,
            before,
            lambda change, lost: wrongly_by_command(command, lost) if command else None,
            command.way if command else None,
        )

    def _apply(
        self,
        changes: Sequence[Change],
        at_first: State,
        wrongly: Callable[[Change, frozenset[Source]], str | None],
        way: Way | None,
    ) -> None:
        context, before = self._context, at_first
        for change in changes:
            context.findings.counts["events_checked"] += 1
            if context.has_whole_history:
                is_join = change.kind_of_source == JOINED and not change.moved
                if is_join:
                    known = not self._is_before(change)
                    wrong = wrong_join(change, before, way) if known else None
                else:
                    wrong = wrong_with(change, before, changes, at_first)
                lost = frozenset() if is_join else lost_by(change, before)
                if wrong is None and lost and not change.moved and change.kind != "STOP":
                    wrong = wrongly(change, lost)
                if wrong is not None:
                    context.found("contradictory", CHANGES, change, wrong)
            self._is_new(change)
            if change.moved:  # its cause was handled in the topics that it was moved from
                again = change.ref if change.is_by_message else (*change.ref, "0")
                context.handle(again, change.at_ms)
            before = applied(before, change)
            state = context.histories.apply(change)
            self._on_change(context.histories.latest, state)

    def _is_new(self, change: Change) -> None:
        """Check that a change comes once, and that no other cause has its id."""
        context, id_ = self._context, digest("change", change.id)
        cause = digest(*change.ref)
        seen = context.state.seen(id_)
        if seen is not None and seen.cause != cause:
            what = "has the id of a change with another cause"
            context.found("contradictory", CHANGES, change, what)
        elif seen is not None and change.at_ms - seen.at_ms < context.dedupe_ms:
            context.found("duplicated", CHANGES, change, "has a change already")
        context.state.see(id_, change.at_ms, cause)

    def _match(
        self,
        note: Notification,
        asked: Asked | None,
        changes: Sequence[Change],
        states: Sequence[State],
    ) -> None:
        context = self._context
        context.findings.counts["events_checked"] += 1
        if not context.has_whole_history:
            context.findings.counts["not_checked"] += 1
            return
        blocked = [stops(state, note.service, note.sender) for state in states]
        if note.effective and not took_effect(note, changes, blocked):
            what = "is effective, but the list does not show it"
            context.found("contradictory", NOTIFICATIONS, note, what)
        if asked is None:
            return
        for kind, what in wrong_replies(note, asked, changes, blocked):
            context.found(kind, NOTIFICATIONS, note, what)
        keywords = asked.handling.keywords if asked.handling else None
        said = Found(note.kind, note.keyword, note.language, note.country, note.tier)
        if keywords and keywords.acts_on_blocked_only(said) and not changes and not any(blocked):
            what = "acts on blocked recipients only, and nothing blocked this one (R3, R19)"
            context.found("contradictory", NOTIFICATIONS, note, what)
        if note.kind == "STOP":
            context.histories.ask(digest(note.key), asked.message.at_ms)

    async def end(self) -> None:
        """Check the messages and commands of the range that led to nothing."""
        await self._messages.end()
        await self._commands.end()
