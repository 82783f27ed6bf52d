"""The gate checks every send: an allowed send goes on, a blocked send fails with 21610.

Sends of accounts that are suspended or closed fail with 30002.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from processor.core.addresses import subscriber_keys
from processor.core.blocks import UNREADABLE, Blocks, Mark
from processor.core.gate import ALLOWED, SUSPENDED, Allowed, Refused, Suspended, Verdict, judge
from processor.core.messages import channel_group_of, entry_key, list_key
from processor.errors import UnreadableEntry
from processor.kafka.topics.counts_topic import CountsTopic
from processor.kafka.topics.services_topic import ServicesTopic
from processor.metrics import GateMetrics
from processor.stages.accounts import Accounts
from processor.stages.faults import separate
from processor.stages.records import (
    Sorted,
    into,
    placed,
    read_all,
    reasons_of,
    send_on,
    to_dead_letters,
)
from processor.stages.tracing import BatchTraces, Traces
from processor.stores.block_list import BlockListReader
from processor.stores.trusted_list import ListTruth, TrustedList
from processor.wire import blocks as wire_blocks
from processor.wire import message_statuses, outbound_messages
from processor.wire.cloud_events import CloudEvents
from processor.wire.headers import SERVICE, config_of, kept, source_of
from processor.wire.records import Output, Record
from processor.wire.send_counts import Judged
from processor.wire.topics import Topics
from schemas.outbound_message import OutboundMessage

logger = logging.getLogger(__name__)

STAGE = "gate_outbound"
_MOST_TRIED = 10_000
_REBUILT_S = 10.0  # an entry that cannot be read is waited for; then its recipient is blocked
_ASK_AGAIN_S = 0.05
_From = tuple[str, str | None, str | None]  # account, service and sender, as a send names them
_FROM: Callable[[OutboundMessage], _From] = attrgetter(
    "account_sid", "messaging_service_sid", "from_"
)
_SAID = {Allowed: "allowed", Refused: "refused", Suspended: "suspended"}


@dataclass(frozen=True, slots=True)
class _Looked:
    """Sends in their order, each with its record, the key of its entry, and the blocks there."""

    pairs: Sequence[tuple[Record, OutboundMessage]]
    keys: Sequence[str]
    entries: Sequence[Blocks]

    def only(self, part: Sequence[int]) -> _Looked:
        """Some of them, by their indexes."""
        if len(part) == len(self.pairs):
            return self
        return _Looked(
            [self.pairs[index] for index in part],
            [self.keys[index] for index in part],
            [self.entries[index] for index in part],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GateDependencies:
    """The parts that the gates of all partitions share."""

    partitions: int  # of every topic
    topics: Topics
    store: BlockListReader
    block_list: ListTruth
    services: ServicesTopic
    accounts: Accounts
    cloud_events: CloudEvents
    counts: CountsTopic[Judged]
    metrics: GateMetrics
    traces: Traces
    max_staleness_s: float | None = None  # see ``TrustedList``


@dataclass(frozen=True, slots=True)
class GateBatch:
    """Sends that were judged, and what was known then; see ``Batch``."""

    gate: GateOutbound
    keys: Sequence[str]
    sends: Sequence[OutboundMessage]
    verdicts: Mapping[int, Verdict]  # by index of a send, unless it is allowed without conditions
    mark: Mark
    traces: BatchTraces
    metrics: GateMetrics

    @property
    def note(self) -> str:
        """Nothing, the gate writes no list; see ``Batch``."""
        return ""

    async def still_holds(self) -> bool:
        """Whether every verdict still is what the list says; see ``Batch``."""
        return await self.gate.still_judges(self)

    async def committed(self) -> None:
        """Count the verdicts, for metrics and `send-counts`; see ``Batch``."""
        self.traces.committed()
        said = Counter(_SAID[type(one)] for one in self.verdicts.values())
        refused, suspended = said["refused"], said["suspended"]
        allowed = len(self.sends) - refused - suspended
        self.metrics.judged(allowed=allowed, refused=refused, suspended=suspended)
        self.gate.count(self)


class GateOutbound:
    """The gate of one partition; it reads the block list and never writes it; see ``Stage``."""

    def __init__(self, partition: int, needs: GateDependencies) -> None:
        self._partition = partition
        self._needs = needs
        self._list = TrustedList(
            partition,
            partitions=needs.partitions,
            store=needs.store,
            truth=needs.block_list,
            max_staleness_s=needs.max_staleness_s,
            waited=needs.metrics.waited,
            config=needs.services.view_at,
        )
        self._tried: set[str] = set()  # entry keys for which the list was rebuilt already
        self._loading = False

    @property
    def waits_for(self) -> str | None:
        """Why no send can be judged now; see ``Stage``."""
        return "the configuration is being read" if self._loading else self._list.waits_for

    async def claim(self) -> None:
        """Nothing to take, the gate only reads; see ``Stage``."""
        self._loading = True
        await self._needs.services.wait_loaded()
        # A gate that starts must not let pass what others stop; later it goes by what it last read.
        await self._needs.accounts.wait_loaded()
        self._loading = False

    async def inherit(self, notes: Iterable[str]) -> str:
        """Nothing, it notes nothing; see ``Stage``."""
        return ""

    async def recover(self, committed: Mapping[str, int]) -> str:
        """Learn which list to trust; see ``Stage``."""
        await self._list.learn()
        return ""

    async def process(self, records: Sequence[Record], out: Output) -> GateBatch:
        """Judge every send by one look at the list, then put it on or fail it; see ``Stage``."""
        sorted_, faults = separate(records, self._sort)
        sorted_.aside += reasons_of(faults)
        pairs = sorted_.good
        # A number without a prefix that is not folded (R32) is its list key: so are nearly all.
        keys = [
            f"{send.account_sid}/{to}"
            if (to := send.to)[0] == "+" and to[1] != "5"
            else entry_key(send.account_sid, list_key(to, channel_group_of(to)))
            for _, send in pairs
        ]
        mark, entries = await self._look(keys)
        looked = _Looked(pairs, keys, entries)
        judged, broken = separate(
            range(len(pairs)), lambda part: self._put_out(looked.only(part), mark, out)
        )
        at_fault = [(pairs[index][0], error) for index, error in broken]
        faults += at_fault
        sorted_.aside += reasons_of(at_fault)
        to_dead_letters(out, self._needs.topics.dead_letters, sorted_.aside, stage=STAGE)
        for record, recipient in sorted_.elsewhere:
            send_on(out, record, recipient, self._needs.partitions)
        out.counts["faults"] += len(faults)
        return judged

    async def _look(self, keys: Sequence[str]) -> tuple[Mark, Sequence[Blocks]]:
        """The blocks of entries; for one that cannot be read the list is rebuilt, once (R25)."""
        while True:
            found = await self._list.look(keys)
            broken: set[str] = set()
            blocks: list[Blocks] = [()] * len(keys)
            for index in found.hits:
                try:
                    blocks[index] = wire_blocks.unpack(found.values[index])
                except UnreadableEntry:
                    blocks[index] = (UNREADABLE,)
                    broken.add(keys[index])
            if broken <= self._tried:
                self._needs.metrics.unreadable.inc(len(broken))
                return found.meta.mark, blocks
            if len(self._tried) > _MOST_TRIED:
                self._tried.clear()
            self._tried |= broken
            logger.error(
                "entry.unreadable", extra={"partition": self._partition, "entries": len(broken)}
            )
            await self._wait_rebuilt(found.meta.epoch)

    async def _wait_rebuilt(self, epoch: int) -> None:
        """Ask the list's owner for a rebuild, and give it some time; it begins with a new epoch."""
        await self._needs.store.ask_for_rebuild(self._partition)
        deadline = time.monotonic() + _REBUILT_S
        while (await self._list.look(())).meta.epoch == epoch and time.monotonic() < deadline:
            await asyncio.sleep(_ASK_AGAIN_S)

    def _put_out(self, looked: _Looked, mark: Mark, out: Output) -> GateBatch:
        """The verdict on each send; pure."""
        out.clear()
        traces, topics = self._needs.traces.begin(), self._needs.topics
        sends = [send for _, send in looked.pairs]
        verdicts = self._verdicts(sends, looked.entries)
        marked = (wire_blocks.MARK_HEADER, str(mark).encode())
        allowed, put = topics.allowed_sends, out.put
        config = config_of(self._needs.services.view)
        for index, (record, send) in enumerate(looked.pairs):
            own = headers = [marked, source_of(record)]
            if looked.entries[index]:  # only there can the configuration decide
                own = headers = [*own, config, (SERVICE, self._service(send).encode())]
            caused = None
            verdict = verdicts.get(index)  # None: a plain yes, as for nearly all
            if record.headers:
                said = "allowed" if verdict is None else _SAID[type(verdict)]
                caused = traces.headers(record, verdict=said)
                passed = kept(record.headers)
                out.counts["surplus_headers"] += len(record.headers) - len(passed)
                headers = [*passed, *own]
            if verdict is None:
                put(allowed, record.key, record.value, headers)
                continue
            if isinstance(verdict, Allowed):
                put(allowed, record.key, record.value, [*headers, _except_from(verdict)])
                continue
            at_ms = record.timestamp
            if isinstance(verdict, Suspended):
                value = message_statuses.write_suspended(send, at_ms)
            else:
                value = message_statuses.write_refusal(send, verdict.block, at_ms)
            own = [*own, *self._needs.cloud_events.of_refusal(send, at_ms)]
            put(
                topics.message_statuses,
                record.key,
                value,
                [*caused, *own] if caused else own,
            )
        metrics = self._needs.metrics
        return GateBatch(self, looked.keys, sends, verdicts, mark, traces, metrics)

    def _sort(self, records: Sequence[Record]) -> Sorted[OutboundMessage]:
        """The records that can be judged, and the send of each; and those that cannot."""
        found: Sorted[OutboundMessage] = Sorted()
        read = {self._needs.topics.outbound_messages: outbound_messages.read_all}
        good = read_all(records, read, lambda record, why: found.aside.append((record, why)))
        recipients = subscriber_keys([send.to for _, send in good])
        found.good = placed(good, recipients, self._needs.partitions, into(found))
        return found

    def _service(self, send: OutboundMessage) -> str:
        """The service that its blocks are looked up by; empty if there is none."""
        named, sender = send.messaging_service_sid, send.from_
        directory = self._needs.services.directory
        return directory.service_sid_of(send.account_sid, named, sender) or ""

    def _verdicts(
        self, sends: Sequence[OutboundMessage], entries: Sequence[Blocks]
    ) -> dict[int, Verdict]:
        directory = self._needs.services.directory
        verdicts: dict[int, Verdict] = {}
        for index in [index for index, blocks in enumerate(entries) if blocks]:
            send, blocks = sends[index], entries[index]
            service_sid = directory.service_sid_of(
                send.account_sid, send.messaging_service_sid, send.from_
            )
            pool = (
                directory.pool_for(send.account_sid, service_sid, send.to)
                if send.from_ is None
                else ()
            )
            verdict = judge(outbound_messages.send_of(send, service_sid), blocks, pool)
            if verdict != ALLOWED:
                verdicts[index] = verdict
        if ended := self._needs.accounts.ended:  # nearly always empty
            for index, send in enumerate(sends):
                if send.account_sid in ended:
                    verdicts[index] = SUSPENDED
        return verdicts

    async def still_judges(self, batch: GateBatch) -> bool:
        """Whether every verdict of a batch still is what the list says."""
        now = await self._list.look(())
        if now.meta.mark == batch.mark:
            return True
        _, entries = await self._look(batch.keys)
        return self._verdicts(batch.sends, entries) == batch.verdicts

    def count(self, batch: GateBatch) -> None:
        """Count a batch's verdicts by service; one look-up for each service and sender in it."""
        allowed = Counter(map(_FROM, batch.sends))
        failed = Counter(
            (_FROM(batch.sends[index]), said)
            for index, verdict in batch.verdicts.items()
            if (said := _SAID[type(verdict)]) != "allowed"
        )
        for (place, _), count in failed.items():
            allowed[place] -= count
        service_sid_of = self._needs.services.directory.service_sid_of
        judged: Counter[Judged] = Counter()
        for place, count in allowed.items():
            judged[Judged(place[0], service_sid_of(*place), "allowed")] += count
        for (place, said), count in failed.items():
            judged[Judged(place[0], service_sid_of(*place), said)] += count
        self._needs.counts.add(+judged)

    async def idle(self) -> None:
        """Nothing to do between sends; see ``Stage``."""


def _except_from(verdict: Allowed) -> tuple[str, bytes]:
    """The header that names senders an allowed send must not go out from (R21)."""
    return wire_blocks.EXCEPT_FROM_HEADER, ",".join(verdict.except_from).encode()
