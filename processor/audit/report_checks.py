"""Check the texts that were reported as opt-outs in other words than keywords (R30)."""

from __future__ import annotations

from processor.audit.context import Context
from processor.audit.own_words import due_ms, wrong_policy
from processor.audit.services import Handling, countries_of
from processor.audit.streams import Stream
from processor.audit.values import (
    INBOUND,
    NOTIFICATIONS,
    SUSPECTED,
    Message,
    Notification,
    Report,
)


class ReportChecks:
    """Goes through the reports in the order of their messages.

    Args:
        context: of the partition.
        reports: their topic.
    """

    def __init__(self, context: Context, reports: Stream[Report]) -> None:
        self._context = context
        self._reports = reports
        self._floor = context.range.floor[INBOUND]

    async def rest(self) -> None:
        """Check the reports of the range that belong to no message."""
        end = self._context.range.end[INBOUND]
        while (left := await self._reports.look()) is not None:
            if not left.moved and left.source is not None and left.source >= end:
                return
            self._surplus(self._reports.take())

    def compare_blocking(self, note: Notification, report: Report | None) -> None:
        """Check that a match in other words is in both topics, and no other match is (R30)."""
        context = self._context
        if report is None:
            if note.suspicion is not None:
                what = "acts on other words, and is not in suspected-opt-outs"
                context.found("lost", NOTIFICATIONS, note, what)
            return
        context.findings.counts["events_checked"] += 1
        if (report.suspicion, report.ref, report.mark) != (note.suspicion, note.ref, note.mark):
            what = "is not of its notification's reading, message and mark"
            context.found("contradictory", SUSPECTED, report, what)
        elif report.suspicion.policy != "block" or report.due_ms is not None:
            what = "waits for a review, though the text has blocked"
            context.found("contradictory", SUSPECTED, report, what)

    def compare(self, its: Message, handling: Handling, report: Report) -> None:
        """Check a report without a notification: it waits for a review, and blocks nothing."""
        context, keywords = self._context, handling.keywords
        context.findings.counts["events_checked"] += 1
        countries = set(countries_of(its.writer, its.country))
        if context.handle(report.ref, report.at_ms):
            context.found("duplicated", SUSPECTED, report, "its message was handled before (R22)")
        if (its.said, its.ref) != (report.said, report.ref):
            context.found("contradictory", SUSPECTED, report, "differs from its message")
        if keywords is None or all(keywords.surely(its.body, one) for one in countries):
            what = "is about a keyword, or about a sender without handling"
            context.found("contradictory", SUSPECTED, report, what)
        elif report.suspicion.policy != "report" or wrong_policy(report, keywords, countries):
            what = "does not follow the policies of its service (R30)"
            context.found("contradictory", SUSPECTED, report, what)
        if report.due_ms != due_ms(its.first_ms):
            what = "is not due ten business days after its message (R30)"
            context.found("contradictory", SUSPECTED, report, what)
        said = report.service, report.version, report.aoo
        if said != (handling.service, handling.version, handling.aoo):
            what = "names another service, version or handling than the configuration of its time"
            context.found("contradictory", SUSPECTED, report, what)

    async def at(self, offset: int) -> Report | None:
        """Take the report of the message at an offset; None if there is none."""
        report = await self._reports.look()
        while report is not None and (
            report.moved or report.source is None or report.source < offset
        ):
            self._reports.take()
            self._surplus(report)
            report = await self._reports.look()
        if report is None or report.source != offset:
            return None
        return self._reports.take()

    def _surplus(self, report: Report) -> None:
        context = self._context
        if report.moved:  # its message was handled in the topics that it was moved from
            context.handle(report.ref, report.at_ms)
        elif report.source is None:
            context.found("contradictory", SUSPECTED, report, "names no message as its cause")
        elif report.source >= self._floor:
            context.found("duplicated", SUSPECTED, report, "its message has a report already")
        elif report.due_ms is not None:
            context.handle(report.ref, report.at_ms)
