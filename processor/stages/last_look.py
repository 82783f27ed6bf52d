"""The last look at the block list, just before a message is handed to a carrier (R25)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from processor.core.addresses import subscriber_key
from processor.core.blocks import UNREADABLE, Block, Blocks
from processor.core.gate import Refused, judge
from processor.core.messages import channel_group_of, entry_key, list_key
from processor.core.partitions import partition_of
from processor.errors import UnreadableEntry
from processor.stages.carrier_dependencies import CarrierDependencies
from processor.stages.linked_entries import LinkedEntries, Marks, header_of
from processor.stores.trusted_list import TrustedList
from processor.wire import blocks, carrier_sends
from processor.wire.headers import LOOKED_AT, SERVICE, config_of
from processor.wire.json_values import to_ms
from processor.wire.records import Header
from schemas.carrier_send import CarrierSend

Stopped = Block | Literal["suspended"]


@dataclass(frozen=True, slots=True)
class Look:
    """Why a message must not go now, if it must not, and by what that was judged."""

    stopped: Stopped | None
    headers: Sequence[Header]  # for the message's status, so that an audit can judge it again


class LastLook:
    """Looks at one partition of the list, and trusts it as the gate does.

    Args:
        partition: of the messages.
        needs: shared by all partitions.
    """

    def __init__(self, partition: int, needs: CarrierDependencies) -> None:
        self._needs = needs
        self._waited_until_ms = 0
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
            waited=self._has_waited,
            config=needs.services.view_at,
        )

    def _has_waited(self, reason: str, seconds: float) -> None:
        self._waited_until_ms = to_ms(self._needs.clock())

    @property
    def waits_for(self) -> str | None:
        """Why the list cannot be trusted now."""
        return self._list.waits_for or self._linked.waits_for

    async def learn(self) -> None:
        """Learn which list to trust."""
        await self._list.learn()
        self._linked.forget()

    async def at(self, send: CarrierSend) -> Look:
        """Judge a message that is about to go; waits while the list cannot be trusted.

        The confirmation of a STOP goes in any case, and so does the answer to HELP: match decided
        on them. A START's confirmation goes unless a later STOP has come.
        """
        needs = self._needs
        began_ms = to_ms(needs.clock())
        if send.reply_to is None and send.account_sid in needs.accounts.ended:
            return Look("suspended", ())
        if send.reply_to in ("STOP", "HELP"):
            return Look(None, [_looked_at(began_ms)])
        key = entry_key(send.account_sid, list_key(send.to, channel_group_of(send.to)))
        place = partition_of(subscriber_key(send.to).encode(), needs.partitions)
        found = await (await self._list_at(place)).look([key])
        others: Marks = {} if place == self._partition else {place: found.meta.mark}
        entry: Blocks = ()
        if found.hits:
            entry, more = await self._entry(key, found.values[0] or b"")
            others = {**others, **more}
        headers: list[Header] = [
            _looked_at(max(began_ms, self._waited_until_ms)),
            (blocks.MARK_HEADER, str(found.meta.mark).encode()),
        ]
        if others:
            headers.append((blocks.LINKED_HEADER, header_of(others)))
        if not found.hits:
            return Look(None, headers)
        service_sid = needs.services.directory.service_sid_of(
            send.account_sid, send.messaging_service_sid, send.from_
        )
        service = SERVICE, (service_sid or "").encode()
        headers += [config_of(needs.services.view), service]
        verdict = judge(carrier_sends.judged(send, service_sid), entry)
        if isinstance(verdict, Refused):
            return Look(verdict.block, headers)
        if send.reply_to is None and send.account_sid in needs.accounts.ended:
            return Look("suspended", ())  # it has ended meanwhile
        return Look(None, headers)

    async def _list_at(self, partition: int) -> TrustedList:
        """The list of a partition: of the reply to a linked user id, another one's (R32)."""
        own = partition == self._partition
        return self._list if own else await self._linked.list_of(partition)

    async def _entry(self, key: str, value: bytes) -> tuple[Blocks, Marks]:
        """The blocks of an entry; of a linked user id, its number's and that list's mark (R32)."""
        try:
            stored = blocks.stored_in(value)
        except UnreadableEntry:
            self._needs.metrics.unreadable_entries.labels("carriers").inc()
            return (UNREADABLE,), {}
        if stored.names.link is None:
            return stored.blocks, {}
        followed, marks = await self._linked.follow({key: stored})
        return followed[key], marks


def _looked_at(at_ms: int) -> Header:
    return LOOKED_AT, str(at_ms).encode()
