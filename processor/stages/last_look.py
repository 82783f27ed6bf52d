"""The last look at the block list, just before a message is handed to a carrier (R25)."""

from __future__ import annotations

from typing import Literal

from processor.core.addresses import subscriber_key
from processor.core.blocks import UNREADABLE, Block, Blocks
from processor.core.gate import Refused, judge
from processor.core.messages import channel_group_of, entry_key, list_key
from processor.core.partitions import partition_of
from processor.errors import UnreadableEntry
from processor.stages.carrier_dependencies import CarrierDependencies
from processor.stages.linked_entries import LinkedEntries
from processor.stores.trusted_list import TrustedList
from processor.wire import blocks, carrier_sends
from schemas.carrier_send import CarrierSend

Stopped = Block | Literal["suspended"]


class LastLook:
    """Looks at one partition of the list, and trusts it as the gate does.

    Args:
        partition: of the messages.
        needs: shared by all partitions.
    """

    def __init__(self, partition: int, needs: CarrierDependencies) -> None:
        self._needs = needs
        self._partition = partition
        self._list = self._list_of(partition)
        self._linked = LinkedEntries(needs.partitions, self._list_of)

    def _list_of(self, partition: int) -> TrustedList:
        needs = self._needs
        return TrustedList(
            partition,
            partitions=needs.partitions,
            store=needs.store,
            truth=needs.block_list,
            max_staleness_s=needs.max_staleness_s,
            config=needs.services.view_at,
        )

    @property
    def waits_for(self) -> str | None:
        """Why the list cannot be trusted now."""
        return self._list.waits_for or self._linked.waits_for

    async def learn(self) -> None:
        """Learn which list to trust."""
        await self._list.learn()
        self._linked.forget()

    async def stops(self, send: CarrierSend) -> Stopped | None:
        """Why a message must not go now, None if it may; waits while the list cannot be trusted.

        The confirmation of a STOP goes in any case, and so does the answer to HELP: match decided
        on them. A START's confirmation goes unless a later STOP has come.
        """
        needs = self._needs
        if send.reply_to is None and send.account_sid in needs.accounts.ended:
            return "suspended"
        if send.reply_to in ("STOP", "HELP"):
            return None
        key = entry_key(send.account_sid, list_key(send.to, channel_group_of(send.to)))
        found = await (await self._list_for(send.to)).look([key])
        if not found.hits:
            return None
        entry = await self._entry(key, found.values[0] or b"")
        service_sid = needs.services.directory.service_sid_of(
            send.account_sid, send.messaging_service_sid, send.from_
        )
        verdict = judge(carrier_sends.judged(send, service_sid), entry)
        if isinstance(verdict, Refused):
            return verdict.block
        ended = send.reply_to is None and send.account_sid in needs.accounts.ended
        return "suspended" if ended else None  # it may have ended meanwhile

    async def _list_for(self, to: str) -> TrustedList:
        """The list that an address is in: of the reply to a linked user id, another one (R32)."""
        place = partition_of(subscriber_key(to).encode(), self._needs.partitions)
        return self._list if place == self._partition else await self._linked.list_of(place)

    async def _entry(self, key: str, value: bytes) -> Blocks:
        """The blocks of an entry; of a linked user id, its number's (R32)."""
        try:
            stored = blocks.stored_in(value)
        except UnreadableEntry:
            self._needs.metrics.unreadable_entries.labels("carriers").inc()
            return (UNREADABLE,)
        if stored.names.link is None:
            return stored.blocks
        followed, _ = await self._linked.follow({key: stored})
        return followed[key]
