"""Check that each send has one verdict, in the order of the sends."""

from __future__ import annotations

from processor.audit.context import Context
from processor.audit.history import mark_in
from processor.audit.parsing import KafkaRecord, read
from processor.audit.source_records import send
from processor.audit.streams import Stream
from processor.audit.values import OUTBOUND, Mark, Unreadable, Verdict
from processor.audit.verdict_checks import VerdictChecks
from processor.audit.verdict_rules import Judged


class GateSide:
    """Joins sends and verdicts by the send's offset.

    Args:
        context: of the partition.
        sends: outbound-messages, not parsed.
        verdicts: allowed-sends, and the gate's message-statuses.
    """

    def __init__(
        self, context: Context, sends: Stream[KafkaRecord], *verdicts: Stream[Verdict]
    ) -> None:
        self._context = context
        self._sends = sends
        self._verdicts = verdicts
        self._floor, self._end = context.range.floor[OUTBOUND], context.range.end[OUTBOUND]
        self._last = context.range.start[OUTBOUND] - 1  # offset of the last send that was judged
        self.judged = mark_in(context.state.get("judged"))  # mark of the last verdict
        self.checks = VerdictChecks(context)

    async def until(self, mark: Mark | None) -> None:
        """Judge the verdicts before a mark; None: all verdicts, and the sends without any."""
        while (stream := await self._next()) is not None:
            verdict = await stream.look()
            if verdict is None or (mark and verdict.mark is not None and verdict.mark >= mark):
                return
            stream.take()
            await self._verdict(verdict)
        if mark is None:
            await self._skip_to(self._end)

    async def _next(self) -> Stream[Verdict] | None:
        """Find the stream with the verdict on the earliest send."""
        found, earliest = None, self._end
        for stream in self._verdicts:
            head = await stream.look()
            if head is None:
                continue
            if head.source is None or head.mark is None:
                return stream
            if head.source < earliest:
                found, earliest = stream, head.source
        return found

    async def _verdict(self, verdict: Verdict) -> None:
        context = self._context
        source, mark = verdict.source, verdict.mark
        where = f"{verdict.topic}[{context.number}]@{verdict.offset}"
        if source is None or mark is None:
            what = "has no mark" if mark is None else "names no send that caused it"
            context.findings.add("contradictory", where, what, verdict.at_ms)
            return
        if source < self._floor:
            return
        if source <= self._last:
            what = "its send has a verdict already, or one on a later send came before"
            context.findings.add("duplicated", where, what, verdict.at_ms)
            return
        await self._skip_to(source)
        record = await self._sends.look()
        if record is None or record.offset != source:
            context.findings.add("contradictory", where, "belongs to no send", verdict.at_ms)
            return
        self._last = self._sends.take().offset
        self.judged = max(self.judged, mark)
        try:
            its = read(send, record)
        except Unreadable:
            what = "is a verdict on a send that cannot be read"
            context.findings.add("contradictory", where, what, verdict.at_ms)
            return
        self.checks.compare(Judged(verdict, its), mark)

    async def _skip_to(self, offset: int) -> None:
        """Check the sends before an offset, which have no verdict."""
        while (record := await self._sends.look()) is not None and record.offset < offset:
            self._last = self._sends.take().offset
            self._without(record)

    def _without(self, record: KafkaRecord) -> None:
        context = self._context
        if record.offset < self._floor:
            return
        where = f"{OUTBOUND}[{context.number}]@{record.offset}"
        try:
            its = read(send, record)
        except Unreadable:
            if context.is_put_aside(OUTBOUND, record.offset):
                return
            what = "cannot be read, and is not among the dead letters"
            context.findings.add("lost", where, what, record.timestamp)
            return
        context.arrive(its)
        if context.is_put_aside(OUTBOUND, record.offset):
            return
        if context.is_here(its):
            context.found("lost", OUTBOUND, its, "no verdict on this send")
        else:
            context.forward(OUTBOUND, its)
