"""The gate: every send against the block list; allowed ones go on, others fail with 21610."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from processor.core.blocks import Blocks, Mark
from processor.core.gate import Refused, judge
from processor.core.messages import bare_number, channel_group_of, list_key
from processor.kafka.services_topic import ServicesTopic
from processor.metrics import GateMetrics
from processor.stages.records import Headers, Puts, placed, read_all, to_dead_letters
from processor.stages.tracing import Traces
from processor.stores.block_list import BlockListStore
from processor.stores.trusted_list import ListTruth, TrustedList
from processor.wire import blocks as wire_blocks
from processor.wire import message_statuses, outbound_messages
from processor.wire.cloud_events import CloudEvents
from processor.wire.topics import Topics
from schemas.outbound_message import OutboundMessage

STAGE = "gate_outbound"


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
        block_list: ListTruth,
        services: ServicesTopic,
        cloud_events: CloudEvents,
        clock_ms: Callable[[], int],
        metrics: GateMetrics,
        traces: Traces,
        max_staleness_s: float | None = None,
    ) -> None:
        self._partitions = partitions
        self._topics = topics
        self._services = services
        self._cloud_events = cloud_events
        self._clock_ms = clock_ms
        self._metrics = metrics
        self._traces = traces
        self._list = TrustedList(
            partition,
            partitions=partitions,
            store=store,
            truth=block_list,
            max_staleness_s=max_staleness_s,
            waited=metrics.waited,
        )
        self._loading = False
        self._judged: _Judged | None = None

    @property
    def waits_for(self) -> str | None:
        """Why no send can be judged now; see ``Stage``."""
        return "the configuration is being read" if self._loading else self._list.waits_for

    async def claim(self) -> None:
        """Nothing to take, the gate only reads; see ``Stage``."""
        self._loading = True
        await self._services.wait_loaded()
        self._loading = False

    async def recover(self, committed: Mapping[str, int], notes: Iterable[str]) -> None:
        """Learn which list to trust; see ``Stage``."""
        await self._list.learn()

    async def process(self, records: Sequence[Any], out: Puts) -> None:
        """Judge every send by one look at the list, then put it on or fail it; see ``Stage``."""
        self._traces.begin()
        judged = self._read(records, out)
        sends = [send for _, send in judged]
        # An address without a prefix is its list key: so are nearly all.
        keys = [
            to if to[0] == "+" else list_key(to, channel_group_of(to))
            for to in [send.to for send in sends]
        ]
        found = await self._list.look(keys)
        refused = self._refusals(sends, found.values)
        self._judged = _Judged(keys, sends, refused, found.meta.mark)
        mark = (wire_blocks.MARK_HEADER, str(found.meta.mark).encode())
        allowed, put = self._topics.allowed_sends, out.put
        only_mark: Headers = [mark]
        for index, (record, _) in enumerate(judged):
            caused = None
            if record.headers:
                verdict = "refused" if index in refused else "allowed"
                caused = self._traces.headers(record, verdict=verdict)
            if index not in refused:
                headers = [*record.headers, mark] if record.headers else only_mark
                put(allowed, record.key, record.value, headers)
                continue
            send, at_ms = sends[index], self._clock_ms()
            value = message_statuses.write_refusal(send, refused[index].block, at_ms)
            own = [mark, *self._cloud_events.of_refusal(send, at_ms)]
            headers = [*caused, *own] if caused else own
            put(self._topics.message_statuses, record.key, value, headers)

    def _read(self, records: Sequence[Any], out: Puts) -> Sequence[tuple[Any, OutboundMessage]]:
        """The records that can be judged, and the send of each."""

        def refuse(record: Any, why: str) -> None:
            to_dead_letters(out, self._topics.dead_letters, record, stage=STAGE, why=why)

        read = {self._topics.outbound_messages: outbound_messages.read_all}
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
        now = await self._list.look(())
        if now.meta.mark == judged.mark:
            return True
        again = await self._list.look(judged.keys)
        return self._refusals(judged.sends, again.values) == judged.refused

    @property
    def note(self) -> str:
        """Nothing, it writes no list; see ``Stage``."""
        return ""

    def committed(self) -> None:
        """Count the verdicts; see ``Stage``."""
        self._traces.committed()
        if judged := self._judged:
            refused = len(judged.refused)
            self._metrics.judged(allowed=len(judged.sends) - refused, refused=refused)

    async def idle(self) -> None:
        """Nothing to do between sends; see ``Stage``."""
