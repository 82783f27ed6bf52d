"""Check messages against the configuration of their time: keyword, reply, webhook."""

from __future__ import annotations

from processor.audit.context import Context
from processor.audit.hand_overs import remember
from processor.audit.history import stops
from processor.audit.keywords import Found
from processor.audit.own_words import policy_of
from processor.audit.parsing import KafkaRecord, read
from processor.audit.reply_checks import BRAKES_MS, CLOCKS_DIFFER_MS, LAWFUL_MS, OURS, Asked
from processor.audit.report_checks import ReportChecks
from processor.audit.services import Handling, Unknown, countries_of
from processor.audit.source_records import message
from processor.audit.streams import Stream
from processor.audit.values import (
    DELIVERIES,
    INBOUND,
    NOTIFICATIONS,
    REPLIES,
    SUSPECTED,
    Delivery,
    Message,
    Notification,
    Reply,
    Report,
    Unreadable,
    Way,
    digest,
)


class MessageChecks:
    """Goes through the messages in their order, with what names them as its cause.

    Args:
        context: of the partition.
        messages: inbound-messages, not parsed.
        replies: their topic.
        reports: their topic.
        deliveries: their topic.
    """

    def __init__(
        self,
        context: Context,
        messages: Stream[KafkaRecord],
        replies: Stream[Reply],
        reports: Stream[Report],
        deliveries: Stream[Delivery],
    ) -> None:
        self._context = context
        self._messages, self._replies, self._deliveries = messages, replies, deliveries
        self._floor = context.range.floor[INBOUND]
        self._reports = ReportChecks(context, reports)
        self.config = int(context.state.get("match_config") or 0)
        since = context.state.get("replies_since_ms")
        self._replies_since_ms = None if since is None else int(since)

    async def message_of(self, note: Notification) -> Asked | None:
        """Find the message of a notification, compare them, and check the messages before it."""
        assert note.source is not None
        context = self._context
        await self._skip_to(note.source, note.config)
        record = await self._messages.look()
        if record is None or record.offset != note.source:
            if context.state.seen(digest(*note.ref)) is not None:
                what = "its message has a notification already"
                context.found("duplicated", NOTIFICATIONS, note, what)
            else:
                what = "belongs to no inbound message"
                context.found("contradictory", NOTIFICATIONS, note, what)
            return None
        self._messages.take()
        self.config = max(self.config, note.config)
        try:
            its = read(message, record)
        except Unreadable:
            context.found("contradictory", NOTIFICATIONS, note, "its message cannot be read")
            return None
        context.arrive(its)
        context.findings.counts["messages_checked"] += 1
        if context.handle(note.ref, note.at_ms):
            what = "its message was handled before (R22)"
            context.found("duplicated", NOTIFICATIONS, note, what)
        self._begin_counting(record)
        replied, counted_all = self._count(note, its)
        return Asked(its, await self._compare(note, its), replied, counted_all)

    async def way_of(self, source: int) -> Way | None:
        """How the message came that merged blocks, and has no notification."""
        await self._skip_to(source, self.config)
        record = await self._messages.look()
        if record is None or record.offset != source:
            return None
        try:
            return read(message, record).way
        except Unreadable:
            return None

    def _begin_counting(self, record: KafkaRecord) -> None:
        """Note since when all replies are known: from the first message on."""
        if self._replies_since_ms is None:
            self._replies_since_ms = record.timestamp
            self._context.state.put({"replies_since_ms": str(record.timestamp)})

    def _count(self, note: Notification, its: Message) -> tuple[int, bool]:
        """Find what the brake of a match counted, and count its reply (R37)."""
        state, since_ms = self._context.state, its.at_ms - BRAKES_MS + 1
        brake = digest("brake", note.key, note.sender, note.kind)
        replied = state.replied(brake, since_ms, its.at_ms + CLOCKS_DIFFER_MS)
        if note.reply_sent in OURS:
            state.reply(brake, its.at_ms, digest(*note.ref))
        begin_ms = self._replies_since_ms or 0
        return replied, begin_ms + CLOCKS_DIFFER_MS < since_ms

    async def _compare(self, note: Notification, its: Message) -> Handling | None:
        context = self._context
        if (its.said, its.ref) != (note.said, note.ref):
            context.found("contradictory", NOTIFICATIONS, note, "differs from its message")
        if context.is_put_aside(INBOUND, its.offset):
            context.found("contradictory", NOTIFICATIONS, note, "its message was put aside, too")
        if not context.is_here(its):
            what = "is on a message that is not in its recipient's partition"
            context.found("contradictory", NOTIFICATIONS, note, what)
        said = Found(note.kind, note.keyword, note.language, note.country, note.tier)
        if note.opt_out_type != (note.kind if note.aoo else None):
            what = "has an opt-out type that is not its own (R27)"
            context.found("contradictory", NOTIFICATIONS, note, what)
        reply = await self._reply(note, its)
        self._reports.compare_blocking(note, await self._reports.at(its.offset))
        try:
            handling = self._handled(its, note.config, note.config)
        except Unknown:
            context.findings.counts["not_checked"] += 1
            await self._delivery(its, None, note)
            return None
        keywords = handling.keywords
        if keywords is None or not any(
            keywords.fits(its.body, country, said)
            if note.suspicion is None
            else keywords.may_mean(its.body, country, said)
            and policy_of(keywords, note.suspicion.tier, country) == "block"
            for country in countries_of(its.writer, its.country)
        ):
            what = "is not what the configuration of its time makes of the message"
            context.found("contradictory", NOTIFICATIONS, note, what)
        elif reply is not None:
            if reply.body not in keywords.replies(said, dict(handling.values)):
                context.found("contradictory", REPLIES, reply, "is not the reply of its keyword")
            if reply.late_reply != keywords.late_reply:
                what = "has another fate than its service's, if it comes late (R36)"
                context.found("contradictory", REPLIES, reply, what)
        if (note.service, note.version, note.aoo) != (
            handling.service,
            handling.version,
            handling.aoo,
        ):
            what = "names another service, version or handling than the configuration of its time"
            context.found("contradictory", NOTIFICATIONS, note, what)
        await self._delivery(its, handling, note)
        return handling

    async def _reply(self, note: Notification, its: Message) -> Reply | None:
        """Check that there is a reply exactly if the notification says so."""
        context, reply = self._context, await self._replies.look()
        while reply is not None and (reply.source is None or reply.source < its.offset):
            self._replies.take()
            self._surplus_reply(reply)
            reply = await self._replies.look()
        is_due = note.reply_sent in OURS
        if reply is None or reply.source != its.offset:
            if is_due:
                what = "says that a reply was sent; there is none"
                context.found("lost", NOTIFICATIONS, note, what)
            return None
        self._replies.take()
        context.findings.counts["events_checked"] += 1
        if not is_due:
            what = "says that no reply was sent; there is one"
            context.found("contradictory", NOTIFICATIONS, note, what)
        if (reply.kind, reply.ref, reply.mark) != (note.kind, note.ref, note.mark):
            what = "is not of its notification's kind, message and mark"
            context.found("contradictory", REPLIES, reply, what)
        if reply.send_before_ms != its.first_ms + LAWFUL_MS:
            what = "is not to be sent within five minutes of its message (R36)"
            context.found("contradictory", REPLIES, reply, what)
        seen = context.state.seen(sid := digest("reply", reply.sid))
        if seen is not None and seen.cause != digest(*reply.ref):
            what = "has the sid of the reply to another message"
            context.found("contradictory", REPLIES, reply, what)
        context.state.see(sid, reply.at_ms, digest(*reply.ref))
        remember(context, reply)
        return reply

    def _surplus_reply(self, reply: Reply) -> None:
        if reply.source is None:
            self._context.found("contradictory", REPLIES, reply, "names no message as its cause")
        elif reply.source >= self._floor:
            seen = self._context.state.seen(digest("reply", reply.sid))
            if seen is not None and seen.cause == digest(*reply.ref):
                self._context.found("duplicated", REPLIES, reply, "its message has a reply already")
            else:
                what = "answers a message that has no notification"
                self._context.found("contradictory", REPLIES, reply, what)

    async def end(self) -> None:
        """Check the messages of the range behind the last notification."""
        context = self._context
        await self._skip_to(context.range.end[INBOUND], context.services.end)
        await self._reports.rest()
        for stream in (self._replies, self._deliveries):
            while (left := await stream.look()) is not None:
                if left.source is not None and left.source >= context.range.end[INBOUND]:
                    break
                stream.take()
                if isinstance(left, Reply):
                    self._surplus_reply(left)
                else:
                    self._surplus_delivery(left)

    async def _skip_to(self, offset: int, config: int) -> None:
        """Check the messages before an offset, which have no notification.

        Args:
            offset: of the next message that has one.
            config: how far the services had been read by then, at most.
        """
        while (record := await self._messages.look()) is not None and record.offset < offset:
            self._messages.take()
            if record.offset >= self._floor:
                self._begin_counting(record)
                await self._without(record, config)

    async def _without(self, record: KafkaRecord, config: int) -> None:
        context, services = self._context, self._context.services
        report = await self._reports.at(record.offset)
        delivery = await self._delivery_at(record.offset) if services.has_webhooks else None
        if context.is_put_aside(INBOUND, record.offset):
            if delivery is not None:
                context.found(
                    "contradictory", DELIVERIES, delivery, "its message was put aside, too"
                )
            if report is not None:
                context.found("contradictory", SUSPECTED, report, "its message was put aside, too")
            return
        is_worth_it = services.has_webhooks or report is not None
        if not is_worth_it and not services.may_match(record.value):
            return
        try:
            its = read(message, record)
        except Unreadable:
            context.findings.counts["unreadable"] += 1
            return
        context.findings.counts["messages_checked"] += 1
        for caused in (delivery, report):
            if caused is not None:
                self.config = max(self.config, caused.config)
                config = caused.config
        try:
            handling = self._handled(its, self.config, config)
        except Unknown:
            context.findings.counts["not_checked"] += 1
            return
        has_effect = self._may_be_lost(its, handling) or handling.webhook is not None
        if has_effect and not context.is_here(its):
            context.forward(INBOUND, its)
            return
        context.arrive(its)
        is_repeated = report is None and context.handled(its.ref, its.at_ms) is True
        if its.other is not None and report is None and delivery is None:
            if self._is_due(its, handling) or (handling.webhook is not None and not is_repeated):
                context.go_on(INBOUND, its)
            return
        if report is not None:
            self._reports.compare(its, handling, report)
        if self._is_due(its, handling):
            context.found("lost", INBOUND, its, "a keyword without a notification")
        elif not self._may_be_lost(its, handling) and not (is_repeated and delivery is None):
            self._compare_delivery(its, handling, None, delivery)

    def _handled(self, its: Message, low: int, high: int) -> Handling:
        """Find how a message was handled by a reader between two positions.

        Raises:
            Unknown: that depends on where the reader was, or compaction took the version.
        """
        services, asked = self._context.services, (its.account, its.service, its.sender)
        found = services.handling(*asked, low)
        if high > low and (changed := services.changed(low, high)):
            later = services.handling(*asked, high)
            if later != found or found.service in changed:
                raise Unknown
        return found

    def _may_be_lost(self, its: Message, handling: Handling) -> bool:
        keywords = handling.keywords
        return (
            keywords is not None
            and keywords.may_be(its.body)
            and any(keywords.surely(its.body, one) for one in countries_of(its.writer, its.country))
        )

    def _is_due(self, its: Message, handling: Handling) -> bool:
        """Whether a message surely should have led to a notification."""
        context, keywords = self._context, handling.keywords
        if keywords is None or not keywords.may_be(its.body):
            return False
        found = [
            keywords.surely(its.body, country) for country in countries_of(its.writer, its.country)
        ]
        if not all(found):
            return False
        handled = context.handled(its.ref, its.at_ms)
        if handled is None:
            context.findings.counts["not_checked"] += 1
        if handled is not False:
            return False
        if any(one is not None and keywords.acts_on_blocked_only(one) for one in found):
            key = digest(its.key)
            states = context.histories.since(key, context.histories.forgotten)
            return all(stops(state, handling.service, its.sender) for state in states)
        return True

    async def _delivery(
        self, its: Message, handling: Handling | None, note: Notification | None
    ) -> None:
        delivery = await self._delivery_at(its.offset)
        if handling is not None:
            self._compare_delivery(its, handling, note, delivery)

    async def _delivery_at(self, offset: int) -> Delivery | None:
        delivery = await self._deliveries.look()
        while delivery is not None and (delivery.source is None or delivery.source < offset):
            self._deliveries.take()
            self._surplus_delivery(delivery)
            delivery = await self._deliveries.look()
        if delivery is None or delivery.source != offset:
            return None
        return self._deliveries.take()

    def _surplus_delivery(self, delivery: Delivery) -> None:
        context = self._context
        if delivery.source is None:
            context.found("contradictory", DELIVERIES, delivery, "names no message as its cause")
        elif delivery.source >= self._floor:
            what = "its message has a delivery already, or is none"
            context.found("duplicated", DELIVERIES, delivery, what)

    def _compare_delivery(
        self,
        its: Message,
        handling: Handling,
        note: Notification | None,
        delivery: Delivery | None,
    ) -> None:
        """Check that a delivery is due exactly where the service has a webhook (R28)."""
        context = self._context
        if delivery is None:
            if handling.webhook is not None:
                context.found("lost", INBOUND, its, "its service has a webhook; no delivery is due")
            return
        context.findings.counts["deliveries_checked"] += 1
        kind = note.kind if note is not None and note.aoo else None
        wanted = (handling.webhook, kind, its.ref)
        if wanted != (delivery.url, delivery.opt_out_type, delivery.ref):
            what = "is not the request that the configuration of its time makes of the message"
            context.found("contradictory", DELIVERIES, delivery, what)
