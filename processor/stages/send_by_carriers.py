"""Carriers: hand replies and allowed sends to the providers of their senders (R25, R36)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from processor.carriers.adapter import Connection, Sender
from processor.kafka.fetched import UnreadBatch
from processor.kafka.writing import Outgoing
from processor.stages.carrier_dependencies import CarrierDependencies
from processor.stages.handing_over import HandOver
from processor.stages.last_look import LastLook
from processor.stages.records import reasons_of
from processor.wire import carrier_sends, dead_letters
from processor.wire.json_values import UNREADABLE, why_unreadable
from processor.wire.records import Record
from schemas.carrier_send import CarrierSend

logger = logging.getLogger(__name__)

STAGE = "send_by_carriers"
_By = tuple[Connection, Sender]


class SendByCarriers:
    """Reads the messages of one partition; see ``DeliveryStage``.

    Messages of senders without a carrier are passed over: another program may send them.

    Args:
        partition: of the messages, and of the block list.
        needs: shared by all partitions.
    """

    def __init__(self, partition: int, needs: CarrierDependencies) -> None:
        self._needs = needs
        self._look = LastLook(partition, needs)
        self._retries = frozenset(needs.topics.carrier_retries)

    @property
    def waits_for(self) -> str | None:
        """Why sends wait; see ``Waits``."""
        return self._look.waits_for

    async def begin(self) -> None:
        """Wait for carriers, services and accounts, and learn which list to trust."""
        await self._needs.loaded()
        await self._needs.services.wait_loaded()
        await self._needs.accounts.wait_loaded()
        await self._look.learn()

    def work_of(self, record: Record) -> HandOver | Outgoing | None:
        """The message to hand over; see ``DeliveryStage``."""
        is_again = record.topic in self._retries
        if not (self._needs.carriers or is_again):
            return None
        if isinstance(record, UnreadBatch):
            return self.put_aside(record, record.why)
        try:
            found = self._message_of(record)
        except UNREADABLE as error:
            return self.put_aside(record, why_unreadable(error))
        if found is not None:
            send, by = found
            return HandOver(self._needs, self._look, record, send, by)
        if is_again:
            return self.put_aside(record, "no carrier serves its sender any more")
        return None

    def _message_of(self, record: Record) -> tuple[CarrierSend, _By] | None:
        """The message, and who carries it; None if no carrier of ours does."""
        needs = self._needs
        if record.topic == needs.topics.allowed_sends:
            return self._allowed(record)
        is_reply = record.topic == needs.topics.reply_sends
        read = carrier_sends.read_reply if is_reply else carrier_sends.read_again
        send = read(record.value)
        by = needs.carriers.serving(send.account_sid, send.from_)
        return (send, by) if by else None

    def _allowed(self, record: Record) -> tuple[CarrierSend, _By] | None:
        needs = self._needs
        send = carrier_sends.read_allowed(record.value)
        if send.from_ is not None:
            by = needs.carriers.serving(send.account_sid, send.from_)
        else:
            directory, service_sid = needs.services.directory, send.messaging_service_sid
            pool = directory.pool_for(send.account_sid, service_sid, send.to)
            free = set(pool) - carrier_sends.excepted(record.headers)
            by = needs.carriers.one_of(send.account_sid, free, send.to)
        return (carrier_sends.send_by(send, by[1].address), by) if by else None

    def made(self, partition: int, offsets: Mapping[str, Iterable[int]]) -> Sequence[Outgoing]:
        """Return nothing: statuses show what was sent; see ``DeliveryStage``."""
        return ()

    def put_aside(self, record: Record, why: str, *, whole: bool = True) -> Outgoing:
        """The dead letter of a record; see ``DeliveryStage``."""
        topics = self._needs.topics
        # A send is judged again. No letter goes back to a later retry topic, to wait behind records
        # that are not due, nor to replies, which only match writes.
        judged = record.topic == topics.allowed_sends
        back_to = topics.outbound_messages if judged else topics.carrier_retries_1
        return self._letter(record, why, topic=back_to, by_reference=not whole)

    def unexpected(self, record: Record, error: Exception) -> Outgoing:
        """The dead letter of a record that made our code fail; see ``DeliveryStage``."""
        [(_, why)] = reasons_of([(record, error)])
        return self.put_aside(record, why)

    def _letter(self, record: Record, why: str, **more: Any) -> Outgoing:
        letter = dead_letters.letter_of(record, stage=STAGE, reason=why, **more)
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        logger.warning("record.refused", extra=place)
        return Outgoing(self._needs.topics.dead_letters, letter.key, letter.value, letter.headers)
