"""Bytes of records to sends that the gate can judge; the others are put aside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from processor.core.addresses import subscriber_keys
from processor.core.blocks import Blocks
from processor.core.messages import entry_of
from processor.stages.faults import Faults, separate
from processor.stages.records import Sorted, into, placed, read_all, reasons_of
from processor.wire import outbound_messages
from processor.wire.records import Record
from processor.wire.screening import Origin, sure_sends
from schemas.outbound_message import OutboundMessage

_Known = tuple[str, Origin]  # key of a send's entry, and its origin
_ORIGIN: Callable[[OutboundMessage], Origin] = attrgetter(
    "account_sid", "messaging_service_sid", "from_"
)


@dataclass(frozen=True, slots=True)
class Sends:
    """Valid sends in their order: the record, the entry's key and the origin of each."""

    records: Sequence[Record]
    keys: Sequence[str]
    origins: Sequence[Origin]
    entries: Sequence[Blocks] = ()  # the blocks of each, once the list was looked at

    def only(self, part: Sequence[int]) -> Sends:
        """Some of them, by their indexes."""
        if len(part) == len(self.records):
            return self
        return Sends(
            [self.records[index] for index in part],
            [self.keys[index] for index in part],
            [self.origins[index] for index in part],
            [self.entries[index] for index in part],
        )


class SendReader:
    """Reads the sends of one partition.

    Args:
        topic: of sends.
        partitions: of the topic.
    """

    def __init__(self, topic: str, partitions: int) -> None:
        self._topic = topic
        self._partitions = partitions

    def read(self, records: Sequence[Record]) -> tuple[Sends, Sorted[_Known], Faults[Record]]:
        """The valid sends in their places, and the records that are not."""
        keys, origins = sure_sends(records, self._topic, self._partitions)
        sure = [key for key in keys if key is not None]
        if len(sure) == len(records):  # nearly always, with compiled code
            whose = [origin for origin in origins if origin is not None]
            return Sends(records, sure, whose), Sorted(), []
        unsure = [record for record, key in zip(records, keys, strict=True) if key is None]
        sorted_, faults = separate(unsure, self._sort)
        sorted_.aside += reasons_of(faults)
        return _merged(records, keys, origins, sorted_.good), sorted_, faults

    def _sort(self, records: Sequence[Record]) -> Sorted[_Known]:
        """Records that can be judged, each with its entry's key and its origin; and the others."""
        found: Sorted[_Known] = Sorted()
        read = {self._topic: outbound_messages.read_all}
        good = read_all(records, read, lambda record, why: found.aside.append((record, why)))
        recipients = subscriber_keys([send.to for _, send in good])
        in_place = placed(good, recipients, self._partitions, into(found))
        found.good = [(record, (_entry_of(send), _ORIGIN(send))) for record, send in in_place]
        return found


def _merged(
    records: Sequence[Record],
    keys: Sequence[str | None],
    origins: Sequence[Origin | None],
    looked_at: Sequence[tuple[Record, _Known]],
) -> Sends:
    """Sends that compiled code is sure of, and those that needed a closer look, in their order."""
    known = {id(record): one for record, one in looked_at}
    found = []
    for record, key, origin in zip(records, keys, origins, strict=True):
        if key is not None and origin is not None:
            found.append((record, key, origin))
        elif one := known.get(id(record)):
            found.append((record, *one))
    return Sends(
        [record for record, _, _ in found],
        [key for _, key, _ in found],
        [origin for _, _, origin in found],
    )


def _entry_of(send: OutboundMessage) -> str:
    return entry_of(send.account_sid, send.to)
