"""Check that each command took effect, was put aside, or was handled before."""

from __future__ import annotations

from processor.audit.changes import follows
from processor.audit.context import Context
from processor.audit.parsing import KafkaRecord, read
from processor.audit.source_records import command
from processor.audit.streams import Stream
from processor.audit.values import CHANGES, COMMANDS, Change, Command, Unreadable, digest


class CommandChecks:
    """Goes through the commands in their order, as far as changes name them.

    Args:
        context: of the partition.
        stream: consent-commands, not parsed.
    """

    def __init__(self, context: Context, stream: Stream[KafkaRecord]) -> None:
        self._context = context
        self._stream = stream
        self._since = context.histories.count  # the last change by a command, or the beginning

    async def command_of(self, change: Change) -> Command | None:
        """Find the command that a change names, and check those before it."""
        if change.source is None:
            return None
        await self._skip_to(change.source)
        self._since = self._context.histories.count
        record = await self._stream.look()
        if record is None or record.offset != change.source:
            return None
        self._stream.take()
        try:
            found = read(command, record)
        except Unreadable:
            return None
        context = self._context
        context.arrive(found)
        context.findings.counts["commands_checked"] += 1
        if context.is_put_aside(COMMANDS, found.offset):
            context.found("contradictory", CHANGES, change, "its command was put aside, too")
        if context.handle(found.ref, found.at_ms):
            context.found("duplicated", CHANGES, change, "its command was handled before")
        return found

    async def end(self) -> None:
        """Check the commands behind the last command that a change names."""
        await self._skip_to(self._context.range.end[COMMANDS])

    async def _skip_to(self, offset: int) -> None:
        while (record := await self._stream.look()) is not None and record.offset < offset:
            self._stream.take()
            if record.offset >= self._context.range.floor[COMMANDS]:
                self._without_change(record)

    def _without_change(self, record: KafkaRecord) -> None:
        """Check a command that changed nothing: the list was as it asks, at some moment."""
        context = self._context
        is_put_aside = context.is_put_aside(COMMANDS, record.offset)
        try:
            one = read(command, record)
        except Unreadable:
            if is_put_aside:
                return
            where = f"{COMMANDS}[{context.number}]@{record.offset}"
            what = "cannot be read, and is not among the dead letters"
            context.findings.add("lost", where, what, record.timestamp)
            return
        context.arrive(one)
        if is_put_aside:
            return
        if not context.is_here(one):
            context.forward(COMMANDS, one)
            return
        context.findings.counts["commands_checked"] += 1
        if context.handled(one.ref, one.at_ms):
            return
        if one.about == "link" and one.other is not None:
            context.go_on(COMMANDS, one)
            return
        if one.about is not None:
            if one.way is not None and one.way.step != "follow":
                context.handle(one.ref, one.at_ms)
            return  # an address without blocks has nothing to take along
        if one.other is not None:  # it went on, or the list was as it asks
            if not self._took_effect(one):
                context.go_on(COMMANDS, one)
            return
        context.handle(one.ref, one.at_ms)
        if not context.has_whole_history:
            context.findings.counts["not_checked"] += 1
        elif not self._took_effect(one):
            if context.histories.forgotten > self._since:
                context.findings.counts["not_checked"] += 1
            else:
                context.found("lost", COMMANDS, one, "a command that did not take effect")

    def _took_effect(self, one: Command) -> bool:
        states = self._context.histories.since(digest(one.key), self._since)
        has_unread = self._context.has_unread_messages
        return any(follows(state, one, has_unread=has_unread) for state in states)
