"""The match stage: inbound messages and commands in; replies, changes and notifications out.

The only writer of its partition's block list. Redis is written before anything is emitted: a block
is in force before anyone can read its confirmation (R25).
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import NamedTuple

from processor.core.blocks import NO_MARK, UNREADABLE, Blocks, ConfigView, Mark
from processor.core.events import (
    BlockChange,
    Event,
    OptOutNotification,
    ReplySend,
    WebhookDelivery,
)
from processor.core.fold import Folded, Hit, Item, Ordinary, fold, handled_of, key_of
from processor.core.messages import (
    ConsentCommand,
    OptOutType,
    Scope,
    SenderType,
    UnreadStop,
    bare_number,
    number_of,
)
from processor.core.partitions import partition_of
from processor.core.services import Directory, Handling
from processor.errors import Fenced, ListLost, NewerFormat, RetryableError, UnreadableEntry
from processor.kafka.topics.block_list_topic import BlockListTopic
from processor.kafka.topics.counts_topic import CountsTopic
from processor.kafka.topics.handled_messages import HandledTopics
from processor.kafka.topics.services_topic import ServicesTopic
from processor.metrics import MatchMetrics
from processor.stages.faults import NOT_THE_RECORDS, separate
from processor.stages.records import (
    Read,
    Sorted,
    into,
    placed,
    read_all,
    reasons_of,
    refuse_output,
    send_on,
    to_dead_letters,
)
from processor.stages.tracing import Traces
from processor.stores.block_list import FORMAT, BatchWrite, BlockListStore, Meta, Snapshot
from processor.wire import blocks as wire_blocks
from processor.wire import consent_commands, events, inbound_messages
from processor.wire.cloud_events import CloudEvents
from processor.wire.countries import country_of
from processor.wire.dead_letters import redrives_of
from processor.wire.headers import arrival_of, kept, was_sent_on
from processor.wire.json_values import MAX_VALUE_BYTES
from processor.wire.records import Header, Output, Record
from processor.wire.topics import Topics
from schemas.inbound_message import InboundMessage

logger = logging.getLogger(__name__)

STAGE = "match_inbound"
_Item = Item | Ordinary
_Pair = tuple[Record, _Item]  # a record and what it comes to


class MatchInbound:
    """The match stage of one partition."""

    def __init__(
        self,
        partition: int,
        *,
        partitions: int,
        topics: Topics,
        scope: Scope,
        store: BlockListStore,
        block_list: BlockListTopic,
        services: ServicesTopic,
        cloud_events: CloudEvents,
        counts: CountsTopic,
        metrics: MatchMetrics,
        traces: Traces,
        handled: HandledTopics,
        at_step: Callable[[str], None] = lambda step: None,
    ) -> None:
        self._partition = partition
        self._partitions = partitions
        self._topics = topics
        self._scope = scope
        self._store = store
        self._block_list = block_list
        self._services = services
        self._cloud_events = cloud_events
        self._counts = counts
        self._metrics = metrics
        self._traces = traces
        self._handled = handled
        self._at_step = at_step
        self._read: Read[InboundMessage | ConsentCommand] = {
            topics.inbound_messages: inbound_messages.read_all,
            topics.consent_commands: consent_commands.read_all,
        }
        self._epoch = 0
        self._mark = NO_MARK  # of the last write; the stored one must be it
        self._inherited: Mark | None = None  # what it must be at least; None: nobody can tell
        self._recovered = False
        self._counter = 0
        self._topic_id = ""
        self._known = NO_MARK  # what the list must have reached to be whole
        self._ready = False
        self._unattended_ms = 0  # before this owner took the partition
        self._config: ConfigView | None = None  # what the batch in hand is decided under
        self._waits_for: str | None = None
        self._wrote = False  # Redis, in the last batch
        self._matched: Sequence[OptOutNotification] = ()  # of the last batch

    @property
    def waits_for(self) -> str | None:
        """The configuration, or a rebuild; at all else it fails; see ``Stage``."""
        return self._waits_for

    async def claim(self) -> None:
        """Take the block list's partition with a new epoch; see ``Stage``."""
        self._waits_for = "the configuration is being read"
        await self._services.wait_loaded()
        self._waits_for = None
        self._topic_id, last = await self._block_list.id_and_last_mark(self._partition)
        # Ours, too: a batch may not be committed yet that Redis has.
        self._known = max(self._known, last, self._mark)
        meta = await self._store.claim(
            self._partition, at_least=max(self._epoch, self._known.epoch)
        )
        if meta.partitions not in (None, self._partitions):
            raise ListLost(
                f"the block list was built for {meta.partitions} partitions, the topics have "
                f"{self._partitions}: another count spreads recipients anew: `optout topics move`"
            )
        await self._follow_config(meta)
        self._epoch = meta.epoch
        self._recovered = False
        self._unattended_ms = meta.unheard_ms or 0
        self._counter = 2  # undo takes the first mark, a rebuild the second
        self._ready = meta.ready == self._topic_id
        self._mark = meta.mark

    async def _follow_config(self, meta: Meta) -> None:
        """Decide under no older configuration than the owner before did."""
        view = self._services.view
        if meta.config is None or view is None:
            return
        if meta.config.topic_id == view.topic_id:
            self._waits_for = "the configuration is being read"
            await self._services.wait_until(meta.config.position)
            self._waits_for = None
        elif (await self._services.now()).topic_id != view.topic_id:
            raise RetryableError(
                "messaging-services was made anew since this process started to read it: restart it"
            )

    async def inherit(self, notes: Iterable[str]) -> None:
        """Learn what Redis must hold, and begin above every epoch before; see ``Stage``."""
        # Only now can no older owner commit: Redis must hold what it did until now. Batches that
        # changed no entry have left no record, but a note.
        recorded = await self._block_list.settled_mark(self._partition)
        noted = [Note.parse(note) for note in notes]
        marks = [one.mark for one in noted if one.mark]
        last = max([recorded, *marks])
        latest = max([Mark(one.epoch, 0) for one in noted], default=NO_MARK)
        if max(last, latest).epoch >= self._epoch:
            self._known = max(last, latest)
            raise ListLost(
                "an owner before had a later epoch: Redis lost it, and its clock is behind"
            )
        # A record, and a source without a note: somebody else set its offset, who cannot tell what
        # Redis should hold.
        told = len(marks) == len(noted) or recorded == NO_MARK
        self._inherited = last if told else None

    async def recover(self, committed: Mapping[str, int]) -> None:
        """Undo what the last owner did not commit, rebuild what is not whole; see ``Stage``."""
        last = self._inherited
        whole = last is not None and self._ready and self._mark >= max(last, self._known)
        ahead = last is not None and self._mark > last
        # Undone even where the list is rebuilt: of the ids that batch handled, some may have been
        # handled again since Redis went back, and some not; those that were are told by topics.
        undone = await self._store.settle(
            self._partition,
            self._epoch,
            undo=ahead or not whole,
            whole=whole,
            config=self._services.view,
        )
        self._mark = Mark(self._epoch, 1)
        self._at_step("undone")
        if undone and whole:
            self._metrics.undone.inc()
            logger.info("batch.undone", extra={"partition": self._partition})
        if not whole:
            self._waits_for = "the block list is being rebuilt"
            try:
                with self._metrics.rebuild.time():
                    await self._rebuild(committed)
            finally:
                self._waits_for = None
        elif self._unattended_ms > self._handled.forgets_after_ms:
            # Redis may have forgotten ids of messages whose copies were not read meanwhile.
            self._waits_for = "what was handled lately is being read"
            try:
                await self._remember(committed)
            finally:
                self._waits_for = None
        self._recovered = True

    async def _rebuild(self, committed: Mapping[str, int]) -> None:
        began, count = time.monotonic(), 0
        await self._store.begin_rebuild(self._partition, self._epoch)
        await self._services.wait_current()
        async with aclosing(self._block_list.entries(self._partition)) as batches:
            async for batch in batches:
                entries = {
                    key: None if value is None else self._packed(value) for key, value in batch
                }
                await self._store.add_rebuilt(self._partition, self._epoch, entries)
                count += len(batch)
        remembered = await self._remember(committed)
        self._at_step("rebuilding")
        self._mark = Mark(self._epoch, 2)
        await self._store.finish_rebuild(
            self._partition,
            self._epoch,
            mark=self._mark,
            ready=self._topic_id,
            partitions=self._partitions,
            config=self._services.view,
        )
        self._at_step("rebuilt")
        logger.info(
            "list.rebuilt",
            extra={
                "partition": self._partition,
                "records": count,
                "ids": remembered,
                "took_ms": round(1000 * (time.monotonic() - began)),
            },
        )

    def _packed(self, value: bytes) -> bytes:
        """A record of the list as Redis has it; one that cannot be read blocks (R25).

        Raises:
            NewerFormat: where a newer version wrote it.
        """
        try:
            return wire_blocks.pack(wire_blocks.read_entry(value))
        except ValueError:  # pydantic's are
            if wire_blocks.is_newer(value):
                raise NewerFormat(
                    f"{self._topics.block_list}[{self._partition}]: a newer version wrote the "
                    "block list: update this worker"
                ) from None
        logger.error("entry.unreadable", extra={"partition": self._partition})
        self._metrics.unreadable.inc()
        return wire_blocks.pack((UNREADABLE,))

    async def _remember(self, committed: Mapping[str, int]) -> int:
        """Learn what was handled: a START delivered again must not lift a later STOP (R22)."""
        count = 0
        recent = self._handled.recent(self._partition, committed, more_ms=self._unattended_ms)
        async with aclosing(recent) as batches:
            async for handled in batches:
                await self._store.remember(self._partition, self._epoch, handled)
                count += len(handled)
        return count

    async def process(self, records: Sequence[Record], out: Output) -> None:
        """Classify, fold, put out the events, then write Redis; see ``Stage``.

        All that can fail for a record's sake is done before Redis is written, and again without
        the record where it does.
        """
        self._wrote, self._matched = False, ()
        sorted_, faults = separate(records, self._sort)
        sorted_.aside += reasons_of(faults)
        read = self._with_unread(sorted_, records)
        snapshot, before, blocks = await self._look(read)
        mark = Mark(self._epoch, self._counter)

        def come_to(part: Sequence[_Pair]) -> Folded:
            out.clear()
            self._traces.begin()
            seen = snapshot.seen if snapshot else frozenset()
            folded = fold([item for _, item in part], blocks, seen, scope=self._scope, mark=mark)
            self._emit(part, folded, out, mark)
            return folded

        while True:
            folded, broken = separate(read, come_to)
            if not broken:
                break
            faults += [(pair[0], error) for pair, error in broken]
            sorted_.aside += reasons_of([(pair[0], error) for pair, error in broken])
            read = self._without(read, [pair for pair, _ in broken])
        sorted_.aside += [(read[index][0], why) for index, why in folded.refused.items()]
        to_dead_letters(out, self._topics.dead_letters, sorted_.aside, stage=STAGE)
        for record, recipient in sorted_.elsewhere:
            send_on(out, record, recipient, self._partitions)
        out.counts["faults"] += len(faults)
        self._tell_of_unread(read, out)
        if folded.handled:
            await self._write(read, folded, before, mark)

    async def _look(
        self, read: Sequence[_Pair]
    ) -> tuple[Snapshot | None, Mapping[str, bytes | None], Mapping[str, Blocks]]:
        """What the list has on the recipients of a batch; nothing where the batch changes none.

        Raises:
            ListLost: where an entry cannot be read; the list is rebuilt.
        """
        lasting = [item for _, item in read if not isinstance(item, Ordinary)]
        if not lasting:
            return None, {}, {}
        keys = list(dict.fromkeys(key_of(item) for item in lasting))
        ids = list({one.id: one for one in map(handled_of, lasting)}.values())
        found = await self._store.read(self._partition, keys, ids)
        self._trust(found.meta)
        self._counter += 1
        before = dict(zip(keys, found.values, strict=True))
        try:
            blocks = {key: wire_blocks.unpack(value) for key, value in before.items()}
        except UnreadableEntry as error:
            await self._store.declare_lost(self._partition)
            raise ListLost(f"{error}: the list is rebuilt") from None
        return found, before, blocks

    def _with_unread(self, sorted_: Sorted[_Item], records: Sequence[Record]) -> Sequence[_Pair]:
        """What comes to something, and the STOPs among what is put aside: those block as well."""
        unread: list[_Pair] = []
        aside, sorted_.aside = sorted_.aside, []
        for record, why in aside:
            stop = self._unread_stop(record)
            place = partition_of(stop.recipient.encode(), self._partitions) if stop else None
            if stop and place != record.partition and self._can_be_sent_on(record):
                # Another partition's list must hold the block.
                sorted_.elsewhere.append((record, stop.recipient))
                continue
            sorted_.aside.append((record, why))
            if stop and place == record.partition:
                unread.append((record, stop))
        if not unread:
            return sorted_.good
        order = {id(record): index for index, record in enumerate(records)}
        return sorted([*sorted_.good, *unread], key=lambda pair: order[id(pair[0])])

    def _can_be_sent_on(self, record: Record) -> bool:
        return not was_sent_on(record) and len(record.value) <= MAX_VALUE_BYTES

    def _tell_of_unread(self, read: Sequence[_Pair], out: Output) -> None:
        for record, item in read:
            if isinstance(item, UnreadStop):
                out.counts["unread_stops"] += 1
                place = {"partition": record.partition, "offset": record.offset}
                logger.error("stop.unread", extra=place)

    def _unread_stop(self, record: Record) -> UnreadStop | None:
        if record.topic != self._topics.inbound_messages:
            return None
        try:
            return inbound_messages.unread_stop_of(record)
        except NOT_THE_RECORDS:
            raise
        except Exception:  # what failed on the record before may fail here as well
            return None

    def _without(self, read: Sequence[_Pair], broken: Sequence[_Pair]) -> list[_Pair]:
        """The batch without records at fault; one that is a STOP blocks all the same."""
        at_fault = {id(pair) for pair in broken}
        left: list[_Pair] = []
        for pair in read:
            record, item = pair
            if id(pair) not in at_fault:
                left.append(pair)
            elif not isinstance(item, UnreadStop) and (stop := self._unread_stop(record)):
                left.append((record, stop))
        return left

    async def _write(
        self,
        read: Sequence[_Pair],
        folded: Folded,
        before: Mapping[str, bytes | None],
        mark: Mark,
    ) -> None:
        after = {
            key: wire_blocks.pack(blocks) if blocks else None
            for key, blocks in folded.changed.items()
        }
        await self._store.write(
            self._partition,
            BatchWrite(
                epoch=self._epoch,
                expected=self._mark,
                mark=mark,
                after=after,
                before={key: before[key] for key in after},
                handled=folded.handled,
                config=self._config,
            ),
        )
        self._mark, self._wrote = mark, True
        self._at_step("written")
        now_s = time.time()
        self._metrics.effective(
            now_s - record.timestamp / 1000
            for (record, item), decision in zip(read, folded.decisions, strict=True)
            if decision and isinstance(item, Hit) and item.match.kind is OptOutType.STOP
        )

    def _trust(self, meta: Meta) -> None:
        if meta.epoch > self._epoch:
            raise Fenced("a later owner took the partition")
        if (meta.epoch, meta.mark, meta.ready) != (self._epoch, self._mark, self._topic_id):
            raise ListLost("the block list in Redis is not as this lane left it")

    def _sort(self, records: Sequence[Record]) -> Sorted[_Item]:
        """The records that come to something, in their order, and those that cannot be handled."""
        found: Sorted[_Item] = Sorted()
        # One configuration for the whole batch.
        directory, self._config = self._services.directory, self._services.view
        ordinary = directory.has_webhooks
        items: list[_Pair] = []
        refuse = lambda record, why: found.aside.append((record, why))  # noqa: E731
        for record, one in read_all(records, self._read, refuse):
            item: _Item | None
            if isinstance(one, ConsentCommand):
                item = replace(
                    one, arrival=arrival_of(record), redrives=redrives_of(record.headers)
                )
            else:
                item = hit_of(one, directory, record)
                if item is None and ordinary:
                    item = _ordinary(one, directory)
            if item is not None:
                items.append((record, item))
        # Where a message stands matters only if it comes to something.
        recipients = [number_of(key_of(item)) for _, item in items]
        found.good = placed(items, recipients, self._partitions, into(found))
        return found

    def _emit(self, read: Sequence[_Pair], folded: Folded, out: Output, mark: Mark) -> None:
        matched = []
        for (record, item), decision in zip(read, folded.decisions, strict=True):
            caused = None
            if record.headers and decision:
                said = {"opt_out_type": item.match.kind} if isinstance(item, Hit) else {}
                caused = self._traces.headers(record, **said)
                out.counts["surplus_headers"] += len(record.headers) - len(kept(record.headers))
            for event in decision:
                own = self._cloud_events.of(event)
                topic, key, value = self._record(event)
                headers = [*caused, *own] if caused else own
                refuse_output(key, value, headers)
                out.put(topic, key, value, headers)
                if isinstance(event, OptOutNotification):
                    matched.append(event)
        self._matched = matched
        header: list[Header] = [(wire_blocks.MARK_HEADER, str(mark).encode())]
        for changed, blocks in folded.changed.items():
            entry = wire_blocks.write_entry(changed, blocks)
            refuse_output(None, entry, header)
            out.put(self._topics.block_list, changed.encode(), entry, header)

    def _record(self, event: Event) -> tuple[str, bytes, bytes]:
        match event:
            case BlockChange():
                return (
                    self._topics.block_changes,
                    event.recipient.encode(),
                    events.write_block_change(event),
                )
            case ReplySend():
                return (
                    self._topics.reply_sends,
                    bare_number(event.message.recipient).encode(),
                    events.write_reply(event),
                )
            case OptOutNotification():
                return (
                    self._topics.opt_out_notifications,
                    bare_number(event.message.recipient).encode(),
                    events.write_notification(event),
                )
            case WebhookDelivery():
                return (
                    self._topics.webhook_deliveries,
                    bare_number(event.message.recipient).encode(),
                    events.write_delivery(event),
                )

    async def last_look(self) -> bool:
        """Fail where Redis no longer holds what was written: nobody may read of it; see ``Stage``.

        With everything emitted: a gate that came to another server before this look waits for the
        batch to be settled, and one that comes to it later reads its mark.
        """
        if self._wrote:
            self._trust((await self._store.read(self._partition, ())).meta)
        return True

    @property
    def note(self) -> str:
        """The mark of the list that the offsets go with; see ``Stage``."""
        return str(Note(self._mark if self._recovered else self._inherited, self._epoch))

    def committed(self) -> None:
        """Count what matched, for metrics and `opt-out-counts`; see ``Stage``."""
        self._traces.committed()
        if self._matched:
            self._metrics.matched(
                Counter((one.match.kind, one.match.tier) for one in self._matched)
            )
            self._counts.add(self._matched)

    async def idle(self) -> None:
        """Say that the owner is there, and see that Redis holds what it wrote; see ``Stage``."""
        self._trust(await self._store.beat(self._partition, self._epoch))


class Note(NamedTuple):
    """What an owner commits with its offsets: ``<format> <mark>[ <epoch>]``."""

    mark: Mark | None  # that Redis must hold; None: nobody can tell, somebody else moved the group
    epoch: int  # of the owner, of which readers may have seen marks

    def __str__(self) -> str:
        told = f"{FORMAT.written} {self.mark or '-'}"
        return told if self.mark and self.mark.epoch == self.epoch else f"{told} {self.epoch}"

    @classmethod
    def parse(cls, text: str) -> Note:
        """Read a note; of a foreign one nothing is kept.

        Raises:
            NewerFormat: where a newer version noted it.
        """
        version, _, rest = text.partition(" ")
        if version.isdecimal() and int(version) > FORMAT.written:
            raise NewerFormat("a newer version committed the offsets: update this worker")
        told, _, epoch = rest.partition(" ")
        try:
            mark = None if told == "-" else Mark.parse(told)
            return cls(mark, int(epoch) if epoch or not mark else mark.epoch)
        except ValueError:
            return cls(None, 0)


def hit_of(read: InboundMessage, directory: Directory, record: Record | None = None) -> Hit | None:
    """What a checked inbound message matches under the configuration; None for most.

    Args:
        read: the message.
        directory: the configuration.
        record: that held it; None: it comes from no topic.
    """
    body = read.body
    if not directory.may_match(body):
        return None
    handling = directory.handling(read.account_sid, read.messaging_service_sid, read.to)
    policy = handling.policy
    if policy is None or not policy.may_match(body):
        return None
    country = read.from_country or _country(read.from_, handling)
    match = policy.match(body, country)
    if match is None:
        return None
    arrival = None if record is None else arrival_of(record)
    return Hit(inbound_messages.message_of(read, arrival), match, handling, country)


def _ordinary(read: InboundMessage, directory: Directory) -> Ordinary | None:
    """A message that matches nothing, where an application wants to know of it (R28)."""
    handling = directory.handling(read.account_sid, read.messaging_service_sid, read.to)
    if handling.webhook is None:
        return None
    return Ordinary(inbound_messages.message_of(read), handling)


def _country(recipient: str, handling: Handling) -> str | None:
    # The numbering plan is asked only where the answer matters: it costs more than all the rest.
    matters = handling.sender_type is SenderType.TOLL_FREE or (
        handling.policy is not None and handling.policy.asks_country
    )
    return country_of(bare_number(recipient)) if matters else None
