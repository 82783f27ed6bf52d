"""The outputs of a decided batch of the match stage, record by record."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from processor.core.blocks import NO_NAMES, ConfigView, Mark
from processor.core.brakes import Replies
from processor.core.events import (
    BlockChange,
    Event,
    OptOutNotification,
    ReplySend,
    SuspectedOptOut,
    WebhookDelivery,
)
from processor.core.fold import Folded, Hit, Item, Ordinary, key_of, way_of
from processor.core.identity import Handled, reply_to
from processor.core.links import Step
from processor.core.messages import OptOutType, UnreadStop, subscriber_of
from processor.stages.classify import Classified, Pair
from processor.stages.forms import Form, Rendered
from processor.stages.records import refuse_output, send_along, send_on, to_dead_letters
from processor.stages.tracing import BatchTraces
from processor.wire import blocks as wire_blocks
from processor.wire import events
from processor.wire.cloud_events import CloudEvents
from processor.wire.headers import config_of, kept, source_of
from processor.wire.records import Header, Output, Record, Row, Texts
from processor.wire.texts import filled, texts_of
from processor.wire.topics import Topics

logger = logging.getLogger(__name__)

STAGE = "match_inbound"


class Told(NamedTuple):
    """The results of a batch besides its records."""

    matched: list[OptOutNotification]  # for metrics
    suspected: list[SuspectedOptOut]  # for metrics
    stopped_ms: list[int]  # when each STOP was appended
    after: dict[str, bytes | None]  # entry key to packed blocks; None where none is left
    handled: list[Handled]  # messages and commands
    replied: dict[bytes, Replies]  # by brake


class _Rows:
    """Records of forms by topic, put out together. Each topic keeps the order of the batch."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self.of: dict[str, list[Row]] = defaultdict(list)

    def put(self, topic: str) -> None:
        """Put out those of a topic, as another record comes behind them."""
        if rows := self.of.pop(topic, None):
            self._out.fill(topic, rows)

    def put_all(self) -> None:
        """Put out those of all topics."""
        for topic in list(self.of):
            self.put(topic)


class MatchOutputs:
    """Writes what was decided as records of its topics.

    Args:
        topics: their names.
        partitions: how many they have.
        cloud_events: names events.
    """

    def __init__(self, topics: Topics, partitions: int, cloud_events: CloudEvents) -> None:
        self._topics = topics
        self._partitions = partitions
        self._cloud_events = cloud_events

    def put_decided(
        self,
        pairs: Sequence[Pair],
        folded: Folded,
        forms: Mapping[int, Form],
        mark: Mark,
        config: ConfigView | None,
        traces: BatchTraces,
        out: Output,
    ) -> Told:
        """Put out the events of each record, then the entries that change; pure.

        Args:
            pairs: of the batch.
            folded: the outcome of those that were folded.
            forms: of the others, by their index.
            mark: of the write that stores it.
            config: the configuration that it was decided under.
            traces: of the batch.
            out: takes the records.

        Raises:
            RecordError: an output that no broker would take; the fault is its record's.
        """
        told = Told([], [], [], {}, [*folded.handled], {**folded.replied})
        for index, way in folded.onward.items():
            send_along(out, pairs[index][0], way, self._partitions)
        header: Header = (wire_blocks.MARK_HEADER, written := str(mark).encode())
        of_all = [header, decided_under := config_of(config)]
        of_batch = written, decided_under[1] or b""
        rows = _Rows(out)
        for index, ((record, item), decision) in enumerate(
            zip(pairs, folded.decisions, strict=True)
        ):
            if (form := forms.get(index)) and isinstance(item, Hit):
                self._put_form(
                    form, item, texts_of(item, record.offset, of_batch + form.own), rows, told
                )
            elif decision:
                self._put_events(record, item, decision, of_all, traces, rows, out, told)
            else:
                continue
            if isinstance(item, Hit) and item.match.kind is OptOutType.STOP:
                told.stopped_ms.append(record.timestamp)
        rows.put_all()
        for changed, blocks in folded.changed.items():
            names = folded.names.get(changed, NO_NAMES)
            is_left = blocks or names != NO_NAMES
            told.after[changed] = wire_blocks.pack(blocks, names) if is_left else None
            entry = wire_blocks.write_entry(changed, blocks, names)
            refuse_output(None, entry, [header])
            out.put(self._topics.block_list, changed.encode(), entry, [header])
        return told

    def _put_form(self, form: Form, hit: Hit, texts: Texts, rows: _Rows, told: Told) -> None:
        """Put out a message that a form fits."""
        for topic, record in form.records:
            rows.of[topic].append((record, texts))
        told.matched.append(form.notification)
        told.handled.append(hit.handled)
        if form.is_answered:
            told.replied[hit.brake.id] = (reply_to(hit.handled),)
        if form.entry and form.packed:
            rows.of[self._topics.block_list].append((form.entry, texts))
            told.after[hit.key] = filled(form.packed, texts)

    def _put_events(
        self,
        record: Record,
        item: Item | Ordinary,
        decision: Sequence[Event],
        of_all: Sequence[Header],
        traces: BatchTraces,
        rows: _Rows,
        out: Output,
        told: Told,
    ) -> None:
        caused = None
        key = subscriber_of(key_of(item)).encode()
        of_record = [*of_all, source_of(record)]
        if record.headers:
            said = {"opt_out_type": item.match.kind} if isinstance(item, Hit) else {}
            caused = traces.headers(record, **said)
            out.counts["surplus_headers"] += len(record.headers) - len(kept(record.headers))
            of_record = [*caused, *of_record] if caused else of_record
        for event in decision:
            topic, value, headers = self.render(event)
            headers = [*of_record, *headers]
            refuse_output(key, value, headers)
            rows.put(topic)
            out.put(topic, key, value, headers)
            if isinstance(event, OptOutNotification):
                told.matched.append(event)
            elif isinstance(event, SuspectedOptOut):
                told.suspected.append(event)

    def render(self, event: Event) -> Rendered:
        """Topic and value of an event, and the headers that name it."""
        return *self._record(event), self._cloud_events.of(event)

    def _record(self, event: Event) -> tuple[str, bytes]:
        """Topic and value of an event."""
        topics = self._topics
        match event:
            case BlockChange():
                return topics.block_changes, events.write_block_change(event)
            case ReplySend():
                return topics.reply_sends, events.write_reply(event)
            case OptOutNotification():
                return topics.opt_out_notifications, events.write_notification(event)
            case SuspectedOptOut():
                return topics.suspected_opt_outs, events.write_suspected(event)
            case WebhookDelivery():
                return topics.webhook_deliveries, events.write_delivery(event)

    def put_undecided(self, batch: Classified, folded: Folded, out: Output) -> None:
        """Put aside or send on the records that were not decided, and count what went wrong."""
        onward = {id(batch.pairs[index][0]) for index in folded.onward}
        aside = [one for one in batch.aside if id(one[0]) not in onward]  # another lane's letters
        refused = [(batch.pairs[index][0], why) for index, why in folded.refused.items()]
        to_dead_letters(out, self._topics.dead_letters, [*aside, *refused], stage=STAGE)
        for record, recipient in batch.elsewhere:
            send_on(out, record, recipient, self._partitions)
        out.counts["faults"] += batch.faults
        for record, to_number in batch.along:
            send_along(out, record, to_number, self._partitions)
        out.counts["sent_along"] += len(folded.onward) + len(batch.along)
        for record, item in batch.pairs:
            way = way_of(item)
            if way and way.step is Step.CONTRADICTS:
                out.counts["contradictions"] += 1
                place = {"partition": record.partition, "offset": record.offset}
                logger.warning("link.contradicts", extra={"topic": record.topic, **place})
            if isinstance(item, UnreadStop) and id(record) not in onward:
                out.counts["unread_stops"] += 1
                place = {"partition": record.partition, "offset": record.offset}
                logger.error("stop.unread", extra=place)
