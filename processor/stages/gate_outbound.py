"""The gate: every send against the block list; allowed ones go on, others fail with 21610."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from processor.core.blocks import Blocks, Mark
from processor.core.gate import Refused, judge
from processor.core.messages import bare_number, channel_group_of, list_key
from processor.kafka.services_topic import ServicesTopic
from processor.metrics import GateMetrics
from processor.stages.faults import separate
from processor.stages.records import (
    Headers,
    Puts,
    Sorted,
    into,
    placed,
    read_all,
    reasons_of,
    send_on,
    to_dead_letters,
)
from processor.stages.tracing import Traces
from processor.stores.block_list import BlockListStore
from processor.stores.trusted_list import ListTruth, TrustedList
from processor.wire import blocks as wire_blocks
from processor.wire import message_statuses, outbound_messages
from processor.wire.cloud_events import CloudEvents
from processor.wire.headers import kept
from processor.wire.topics import Topics
from schemas.outbound_message import OutboundMessage

STAGE = "gate_outbound"
# A record, its send, the send's list key, and what the list has there.
_Looked = tuple[tuple[Any, OutboundMessage], str, bytes | None]


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
        metrics: GateMetrics,
        traces: Traces,
        max_staleness_s: float | None = None,
    ) -> None:
        self._partitions = partitions
        self._topics = topics
        self._services = services
        self._cloud_events = cloud_events
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
        sorted_, faults = separate(records, self._sort)
        sorted_.aside += reasons_of(faults)
        sends = sorted_.good
        # An address without a prefix is its list key: so are nearly all.
        keys = [
            to if to[0] == "+" else list_key(to, channel_group_of(to))
            for to in [send.to for _, send in sends]
        ]
        found = await self._list.look(keys)
        looked = list(zip(sends, keys, found.values, strict=True))
        mark = found.meta.mark
        _, broken = separate(looked, lambda part: self._put_out(part, mark, out))
        faults += [(pair[0], error) for (pair, _, _), error in broken]
        sorted_.aside += reasons_of([(pair[0], error) for (pair, _, _), error in broken])
        to_dead_letters(out, self._topics.dead_letters, sorted_.aside, stage=STAGE)
        for record, recipient in sorted_.elsewhere:
            send_on(out, record, recipient, self._partitions)
        out.counts["faults"] += len(faults)

    def _put_out(self, looked: Sequence[_Looked], mark: Mark, out: Puts) -> None:
        """The verdict on each send; pure."""
        out.clear()
        self._traces.begin()
        sends = [pair[1] for pair, _, _ in looked]
        refused = self._refusals(sends, [value for _, _, value in looked])
        self._judged = _Judged([key for _, key, _ in looked], sends, refused, mark)
        marked = (wire_blocks.MARK_HEADER, str(mark).encode())
        allowed, put = self._topics.allowed_sends, out.put
        only_mark: Headers = [marked]
        for index, ((record, send), _, _) in enumerate(looked):
            headers: Headers = only_mark
            caused = None
            if record.headers:
                verdict = "refused" if index in refused else "allowed"
                caused = self._traces.headers(record, verdict=verdict)
                passed = kept(record.headers)
                out.counts["surplus_headers"] += len(record.headers) - len(passed)
                headers = [*passed, marked]
            if index not in refused:
                put(allowed, record.key, record.value, headers)
                continue
            at_ms = record.timestamp
            value = message_statuses.write_refusal(send, refused[index].block, at_ms)
            own = [marked, *self._cloud_events.of_refusal(send, at_ms)]
            put(
                self._topics.message_statuses,
                record.key,
                value,
                [*caused, *own] if caused else own,
            )

    def _sort(self, records: Sequence[Any]) -> Sorted[OutboundMessage]:
        """The records that can be judged, and the send of each; and those that cannot."""
        found: Sorted[OutboundMessage] = Sorted()
        read = {self._topics.outbound_messages: outbound_messages.read_all}
        good = read_all(records, read, lambda record, why: found.aside.append((record, why)))
        numbers = [to if to[0] == "+" else bare_number(to) for to in [send.to for _, send in good]]
        found.good = placed(good, numbers, self._partitions, into(found))
        return found

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
