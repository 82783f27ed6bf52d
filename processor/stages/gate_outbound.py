"""The gate: every send against the block list; allowed ones go on, others fail with 21610."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from processor.core.blocks import NO_MARK, Blocks, Mark
from processor.core.gate import Refused, judge
from processor.core.messages import bare_number, channel_group_of, list_key
from processor.errors import StoreUnavailable
from processor.kafka.block_list_topic import BlockListTopic
from processor.kafka.services_topic import ServicesTopic
from processor.stages.records import Headers, Puts, placed, read_all, to_dead_letters
from processor.stores.block_list import BlockListStore, Snapshot
from processor.wire import blocks as wire_blocks
from processor.wire import message_statuses, outbound_messages
from processor.wire.topics import Topics
from schemas.outbound_message import OutboundMessage

logger = logging.getLogger(__name__)

STAGE = "gate_outbound"
_WAIT_S = (0.02, 1.0)


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the last look looks at again."""

    keys: Sequence[str]
    sends: Sequence[OutboundMessage]
    refused: Mapping[int, Refused]  # index of a send to its verdict
    mark: Mark


class GateOutbound:
    """The gate of one partition; it reads the block list and never writes it."""

    def __init__(
        self,
        partition: int,
        *,
        partitions: int,
        topics: Topics,
        store: BlockListStore,
        block_list: BlockListTopic,
        services: ServicesTopic,
        clock_ms: Callable[[], int],
        max_staleness_s: float | None = None,
    ) -> None:
        self._partition = partition
        self._partitions = partitions
        self._topics = topics
        self._store = store
        self._block_list = block_list
        self._services = services
        self._clock_ms = clock_ms
        self._max_staleness_s = max_staleness_s
        self._mark = NO_MARK  # the highest seen: the list can only go on from there
        self._topic_id = ""
        self._trusted_connection = 0
        self._judged: _Judged | None = None
        self._waits_for: str | None = None

    @property
    def waits_for(self) -> str | None:
        """Why no send can be judged now; see ``Stage``."""
        return self._waits_for

    async def claim(self) -> None:
        """Nothing to take, the gate only reads; see ``Stage``."""
        await self._services.wait_loaded()

    async def recover(self, committed: Mapping[str, int]) -> None:
        """Learn which list to trust; see ``Stage``."""
        self._topic_id = await self._block_list.id()
        self._trusted_connection = 0

    async def process(self, records: Sequence[Any], out: Puts) -> None:
        """Judge every send by one look at the list, then put it on or fail it; see ``Stage``."""
        judged = self._read(records, out)
        sends = [send for _, send in judged]
        # An address without a prefix is its list key: so are nearly all.
        keys = [
            to if to[0] == "+" else list_key(to, channel_group_of(to))
            for to in [send.to for send in sends]
        ]
        found = await self._look(keys)
        refused = self._refusals(sends, found.values)
        self._judged = _Judged(keys, sends, refused, found.meta.mark)
        mark = (wire_blocks.MARK_HEADER, str(found.meta.mark).encode())
        allowed, put = self._topics.allowed_sends, out.put
        only_mark: Headers = [mark]
        for index, (record, _) in enumerate(judged):
            headers: Headers = [*record.headers, mark] if record.headers else only_mark
            if index not in refused:
                put(allowed, record.key, record.value, headers)
                continue
            block = refused[index].block
            value = message_statuses.write_refusal(sends[index], block, self._clock_ms())
            put(self._topics.message_statuses, record.key, value, headers)

    def _read(self, records: Sequence[Any], out: Puts) -> Sequence[tuple[Any, OutboundMessage]]:
        """The records that can be judged, and the send of each."""

        def refuse(record: Any, why: str) -> None:
            to_dead_letters(out, self._topics.dead_letters, record, stage=STAGE, why=why)

        read = {self._topics.outbound_messages: outbound_messages.read}
        good = read_all(records, read, refuse)
        numbers = [to if to[0] == "+" else bare_number(to) for to in [send.to for _, send in good]]
        return placed(good, numbers, self._partitions, refuse)

    def _refusals(
        self, sends: Sequence[OutboundMessage], values: Sequence[bytes | None]
    ) -> dict[int, Refused]:
        directory = self._services.directory
        refused: dict[int, Refused] = {}
        for index, value in enumerate(values):
            if value is None:
                continue
            send = sends[index]
            service_sid = directory.service_sid_of(
                send.account_sid, send.messaging_service_sid, send.from_
            )
            blocks: Blocks = wire_blocks.unpack(value)
            verdict = judge(outbound_messages.send_of(send, service_sid), blocks)
            if isinstance(verdict, Refused):
                refused[index] = verdict
        return refused

    async def last_look(self) -> bool:
        """Whether every verdict still is what the list says; see ``Stage``."""
        judged = self._judged
        if judged is None:
            return True
        now = await self._look(())
        if now.meta.mark == judged.mark:
            return True
        again = await self._look(judged.keys)
        return self._refusals(judged.sends, again.values) == judged.refused

    async def _look(self, keys: Sequence[str]) -> Snapshot:
        """Read the list, waiting as long as it cannot be trusted: no send is judged by less."""
        wait_s = _WAIT_S[0]
        while True:
            try:
                found = await self._store.read(self._partition, keys)
                if found.connection != self._trusted_connection:
                    # Perhaps another server than before: it must hold all that was committed.
                    last = await self._block_list.last_mark(self._partition)
                    self._mark = max(self._mark, last)
                    self._trusted_connection = found.connection
                    continue
                why = await self._distrust(found)
            except StoreUnavailable as error:
                why = str(error)
            self._waits_for = why
            if why is None:
                self._mark = found.meta.mark
                return found
            if wait_s == _WAIT_S[0]:
                logger.warning("gate.waits", extra={"partition": self._partition, "why": why})
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _WAIT_S[1])

    async def _distrust(self, found: Snapshot) -> str | None:
        meta = found.meta
        if meta.ready not in (None, self._topic_id):
            self._topic_id = await self._block_list.id()  # created anew since?
        if meta.ready != self._topic_id:
            return "the block list is not whole; its owner rebuilds it"
        if meta.partitions != self._partitions:
            return f"the block list was built for {meta.partitions} partitions"
        if meta.mark < self._mark:
            return "Redis lost writes; the owner of the list rebuilds it"
        limit_s, unheard_ms = self._max_staleness_s, meta.unheard_ms
        if limit_s is not None and (unheard_ms is None or unheard_ms > 1000 * limit_s):
            # Perhaps a master that was cut off: what the owner writes goes to another one.
            return f"the owner of the block list was not heard for {limit_s:g} s"
        return None

    async def idle(self) -> None:
        """Nothing to do between sends; see ``Stage``."""
