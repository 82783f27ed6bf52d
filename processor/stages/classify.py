"""Bytes of inbound records to hits, ordinary messages and commands; the others are put aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TypeAlias

from processor.core.addresses import subscriber_key
from processor.core.blocks import NO_NAMES, Names
from processor.core.fold import Hit, Item, Ordinary, Reported, is_lasting, key_of
from processor.core.links import Step, Way
from processor.core.messages import (
    ConsentCommand,
    LinkCommand,
    MoveCommand,
    PersonCommand,
    UnreadStop,
    subscriber_of,
)
from processor.core.messages import InboundMessage as Message
from processor.core.partitions import partition_of
from processor.core.services import Directory
from processor.errors import RecordError
from processor.stages.faults import NOT_THE_RECORDS, Faults, separate
from processor.stages.hearing import Ear
from processor.stages.items import heard_of, hit_of, ordinary_of
from processor.stages.records import Read, Sorted, into, placed, read_all, reasons_of
from processor.stages.sure_messages import settled_by
from processor.wire import consent_commands, inbound_messages
from processor.wire.dead_letters import redrives_of
from processor.wire.headers import arrival_of, was_sent_on
from processor.wire.json_values import MAX_VALUE_BYTES
from processor.wire.quick_reader import Known
from processor.wire.records import Record
from processor.wire.screening import Glances, doubtful_messages
from processor.wire.topics import Topics
from processor.wire.ways import checked, way_in
from schemas.inbound_message import InboundMessage

Linked: TypeAlias = tuple[str, str | None, str]  # account, user id, number
Pair: TypeAlias = tuple[Record, Item | Ordinary]  # a record and what it comes to


@dataclass(frozen=True, slots=True)
class Classified:
    """The records of a batch that have an effect."""

    pairs: Sequence[Pair]  # in the order of the records
    aside: Sequence[tuple[Record, str]]  # records for the dead letters, each with its reason
    elsewhere: Sequence[tuple[Record, str]]  # misplaced records, each with its recipient
    faults: int  # how many records made our code raise
    along: Sequence[tuple[Record, Way]] = ()  # STOPs at fault here, which their number's lane reads

    @property
    def lasting(self) -> list[Item | Ordinary]:
        """The items that can change the block list."""
        return [item for _, item in self.pairs if is_lasting(item)]


class Classifier:
    """Sorts the records of a batch by their effect.

    Args:
        topics: their names.
        partitions: how many they have.
        ear: hears what is not a keyword.
    """

    def __init__(self, topics: Topics, partitions: int, ear: Ear) -> None:
        self._ear = ear
        self._inbound_messages = topics.inbound_messages
        self._partitions = partitions
        self._linked: Known[Linked] = Known()  # of which the number's entry has the id
        self._read: Read[InboundMessage | ConsentCommand | PersonCommand] = {
            topics.inbound_messages: inbound_messages.read_all,
            topics.consent_commands: consent_commands.read_all,
        }

    def classify(self, records: Sequence[Record], directory: Directory) -> Classified:
        """Classify the records of one partition under one configuration."""
        sorted_, faults = separate(records, lambda part: self._sort(part, directory))
        return self._with_unread(sorted_, faults, records)

    def _sort(self, records: Sequence[Record], directory: Directory) -> Sorted[Item | Ordinary]:
        """The records that have an effect, in their order, and those that cannot be handled."""
        found: Sorted[Item | Ordinary] = Sorted()
        ordinary = directory.has_webhooks
        # A valid message without a keyword comes to nothing, unless an application wants it.
        glance = self._ear.glance(directory)
        doubtful = doubtful_messages(
            records, self._inbound_messages, directory.prefilter, directory.webhooks, glance
        )
        records, settled = doubtful.records, settled_by(doubtful, directory, self._ear)
        heard_of_all: dict[int, Pair] = {
            key: pair for key, pair in settled.items() if pair is not None
        }
        named = frozenset(map(id, doubtful.in_other_words))

        def refuse(record: Record, why: str) -> None:
            found.aside.append((record, why))

        others = [record for record in records if id(record) not in settled]
        read = read_all(others, self._read, refuse)
        items = [
            None if id(record) in named else _command_or_hit(one, directory, record)
            for record, one in read
        ]
        to_assess = named | _to_assess(read, items, named, glance)
        for (record, one), item in zip(read, items, strict=True):
            heard: Item | Ordinary | None = item
            if heard is None and not isinstance(one, ConsentCommand | PersonCommand):
                if id(record) in to_assess:
                    heard = heard_of(one, directory, self._ear, record)
                if heard is None and (ordinary or one.user_id is not None):
                    heard = ordinary_of(one, directory, record)
            if heard is None:
                continue
            try:
                heard_of_all[id(record)] = record, self._on_its_way(heard, record)
            except RecordError as error:
                refuse(record, str(error))
        pairs = [heard_of_all[id(record)] for record in records if id(record) in heard_of_all]
        # The partition matters only for a message that has an effect.
        recipients = [subscriber_of(key_of(item)) for _, item in pairs]
        found.good = placed(pairs, recipients, self._partitions, into(found))
        return found

    def _on_its_way(self, item: Item | Ordinary, record: Record) -> Item | Ordinary:
        """An item with the way it came, and whether the link that it names is known."""
        way = way_in(record)
        if isinstance(item, ConsentCommand | UnreadStop):
            return replace(item, way=checked(way, item.recipient)) if way else item
        if isinstance(item, LinkCommand):
            return replace(item, way=checked(way, item.user_id, item.number)) if way else item
        if isinstance(item, MoveCommand):
            return replace(item, way=checked(way, item.recipient)) if way else item
        message = item.message
        if way is None and (message.user_id is None or linked_by(message) not in self._linked):
            return item
        if way is None:
            return replace(item, message=replace(message, is_linked=True))
        way = checked(way, subscriber_key(message.recipient), message.user_id)
        return replace(item, message=replace(message, way=way))

    def learn(self, items: Sequence[Item | Ordinary], names: Mapping[str, Names]) -> None:
        """Remember links that both entries have: a message that names one asks for nothing.

        Args:
            items: of this batch.
            names: of entries, as stored before this batch.
        """
        if not names:
            return
        for item in items:
            if not isinstance(item, Hit | Reported | Ordinary) or item.message.user_id is None:
                continue
            if item.message.user_id in names.get(key_of(item), NO_NAMES).ids:
                self._linked.learn(linked_by(item.message))

    def forget(self) -> None:
        """Forget all links: others may have written the list since."""
        self._linked.clear()

    def _with_unread(
        self,
        sorted_: Sorted[Item | Ordinary],
        faults: Faults[Record],
        records: Sequence[Record],
    ) -> Classified:
        """The records with an effect, and the STOPs among those put aside: these block, too."""
        aside: list[tuple[Record, str]] = []
        along: list[tuple[Record, Way]] = []
        elsewhere = list(sorted_.elsewhere)
        unread: list[Pair] = []
        for record, why in [*sorted_.aside, *reasons_of(faults)]:
            stop = self._unread_stop(record)
            place = partition_of(stop.person.encode(), self._partitions) if stop else None
            if stop and place != record.partition and _can_be_sent_on(record):
                # Another partition's list must hold the block.
                elsewhere.append((record, stop.person))
                continue
            if stop and (way := _past_fault(record)):
                along.append((record, way))
                continue
            aside.append((record, why))
            if stop and place == record.partition:
                unread.append((record, stop))
        pairs = sorted_.good
        if unread:
            order = {id(record): index for index, record in enumerate(records)}
            pairs = sorted([*pairs, *unread], key=lambda pair: order[id(pair[0])])
        return Classified(pairs, aside, elsewhere, len(faults), along)

    def without(self, batch: Classified, broken: Faults[Pair]) -> Classified:
        """The batch with pairs at fault put aside; one that is a STOP blocks all the same.

        Such a STOP may be of a recipient whose entry no other record of the batch touches.
        """
        at_fault = {id(pair): error for pair, error in broken}
        left: list[Pair] = []
        along: list[tuple[Record, Way]] = []
        aside: list[tuple[Record, Exception]] = []
        for pair in batch.pairs:
            record, item = pair
            if id(pair) not in at_fault:
                left.append(pair)
                continue
            stop = None if isinstance(item, UnreadStop) else self._unread_stop(record)
            if stop and (way := _past_fault(record)):
                along.append((record, way))
                continue
            aside.append((record, at_fault[id(pair)]))
            if stop:
                left.append((record, stop))
        return replace(
            batch,
            pairs=left,
            aside=[*batch.aside, *reasons_of(aside)],
            faults=batch.faults + len(broken),
            along=[*batch.along, *along],
        )

    def _unread_stop(self, record: Record) -> UnreadStop | None:
        if record.topic != self._inbound_messages:
            return None
        try:
            return inbound_messages.unread_stop_of(record)
        except NOT_THE_RECORDS:
            raise
        except Exception:  # a failure on this record may occur here again
            return None


def _past_fault(record: Record) -> Way | None:
    """How a STOP at fault in a user id's lane goes on to its number's, without a link (R33)."""
    try:
        way = way_in(record)
    except RecordError:
        return None
    return Way(Step.CONTRADICTS, way.id, way.number) if way and way.step is Step.ASK else None


def _command_or_hit(
    one: InboundMessage | ConsentCommand | PersonCommand, directory: Directory, record: Record
) -> ConsentCommand | PersonCommand | Hit | None:
    if isinstance(one, ConsentCommand | PersonCommand):
        return replace(one, arrival=arrival_of(record), redrives=redrives_of(record.headers))
    return hit_of(one, directory, record)


def _to_assess(
    read: Sequence[tuple[Record, InboundMessage | ConsentCommand | PersonCommand]],
    items: Sequence[Item | None],
    known: Set[int],
    glance: Glances,
) -> Set[int]:
    """The `id` of records of messages that may be opt-outs in other words, besides those known."""
    others = [
        (id(record), one.body)
        for (record, one), item in zip(read, items, strict=True)
        if item is None
        and id(record) not in known
        and not isinstance(one, ConsentCommand | PersonCommand)
    ]
    return {others[at][0] for at in glance.at([body for _, body in others])}


def _can_be_sent_on(record: Record) -> bool:
    return not was_sent_on(record) and len(record.value) <= MAX_VALUE_BYTES


def linked_by(message: Message) -> Linked:
    """The account and the two addresses that a message says are one person's."""
    return message.account_sid, message.user_id, message.recipient
