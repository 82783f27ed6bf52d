"""The gate checks every send: an allowed send goes on, a blocked send fails with 21610.

Sends of accounts that are suspended or closed fail with 30002.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from processor.core.blocks import UNREADABLE, Blocks, Mark
from processor.core.gate import ALLOWED, SUSPENDED, Allowed, Refused, Suspended, Verdict, judge
from processor.core.messages import (
    account_of,
    bare_number,
    channel_group_of,
    entry_key,
    list_key,
)
from processor.errors import UnreadableEntry
from processor.kafka.topics.services_topic import ServicesTopic
from processor.metrics import GateMetrics
from processor.stages.accounts import Accounts
from processor.stages.faults import Faults, separate
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
from processor.wire.headers import kept
from processor.wire.records import Header, Output, Record
from processor.wire.screening import entries_of_sends
from processor.wire.topics import Topics
from schemas.outbound_message import OutboundMessage

logger = logging.getLogger(__name__)

STAGE = "gate_outbound"
_MOST_TRIED = 10_000
_REBUILT_S = 10.0  # an entry that cannot be read is waited for; then its recipient is blocked
_ASK_AGAIN_S = 0.05
_SAID = {Allowed: "allowed", Refused: "refused", Suspended: "suspended"}


@dataclass(frozen=True, slots=True)
class _Looked:
    """Valid records in their order, each with the key of its entry, and the blocks there."""

    records: Sequence[Record]
    keys: Sequence[str]
    entries: Sequence[Blocks]

    def only(self, part: Sequence[int]) -> _Looked:
        """Some of them, by their indexes."""
        if len(part) == len(self.records):
            return self
        return _Looked(
            [self.records[index] for index in part],
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
    metrics: GateMetrics
    traces: Traces
    max_staleness_s: float | None = None  # see ``TrustedList``


@dataclass(frozen=True, slots=True)
class GateBatch:
    """Sends that were judged, and what was known then; see ``Batch``."""

    gate: GateOutbound
    looked: _Looked
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

    def committed(self) -> None:
        """Count the verdicts; see ``Batch``."""
        self.traces.committed()
        said = Counter(_SAID[type(one)] for one in self.verdicts.values())
        refused, suspended = said["refused"], said["suspended"]
        allowed = len(self.looked.records) - refused - suspended
        self.metrics.judged(allowed=allowed, refused=refused, suspended=suspended)


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
        good, keys, sorted_, faults = self._read(records)
        mark, entries = await self._look(keys)
        looked = _Looked(good, keys, entries)
        judged, broken = separate(
            range(len(good)), lambda part: self._put_out(looked.only(part), mark, out)
        )
        at_fault = [(good[index], error) for index, error in broken]
        faults += at_fault
        sorted_.aside += reasons_of(at_fault)
        to_dead_letters(out, self._needs.topics.dead_letters, sorted_.aside, stage=STAGE)
        for record, recipient in sorted_.elsewhere:
            send_on(out, record, recipient, self._needs.partitions)
        out.counts["faults"] += len(faults)
        return judged

    def _read(
        self, records: Sequence[Record]
    ) -> tuple[Sequence[Record], Sequence[str], Sorted[str], Faults[Record]]:
        """The valid records with the key of each one's entry, and what is not valid."""
        needs = self._needs
        keys = entries_of_sends(records, needs.topics.outbound_messages, needs.partitions)
        doubtful = [record for record, key in zip(records, keys, strict=True) if key is None]
        sorted_, faults = separate(doubtful, self._sort)
        sorted_.aside += reasons_of(faults)
        if len(doubtful) == len(records):
            pairs = sorted_.good
        else:
            looked_at = {id(record): key for record, key in sorted_.good}
            pairs = [
                (record, known)
                for record, key in zip(records, keys, strict=True)
                if (known := key or looked_at.get(id(record)))
            ]
        return [record for record, _ in pairs], [key for _, key in pairs], sorted_, faults

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
        verdicts = self._verdicts(looked)
        marked = (wire_blocks.MARK_HEADER, str(mark).encode())
        allowed, put = topics.allowed_sends, out.put
        plain: list[Record] = []  # sends to copy, before the next send that is not plain
        for index, record in enumerate(looked.records):
            verdict = verdicts.get(index)  # None: a plain yes, as for nearly all
            if verdict is None and not record.headers:
                plain.append(record)
                continue
            headers: list[Header] = [marked]
            caused = None
            if record.headers:
                said = "allowed" if verdict is None else _SAID[type(verdict)]
                caused = traces.headers(record, verdict=said)
                passed = kept(record.headers)
                out.counts["surplus_headers"] += len(record.headers) - len(passed)
                headers = [*passed, marked]
            if verdict is None or isinstance(verdict, Allowed):
                out.copy(allowed, plain, [marked])
                plain = []
                more = [] if verdict is None else [_except_from(verdict)]
                put(allowed, record.key, record.value, [*headers, *more])
                continue
            at_ms, send = record.timestamp, outbound_messages.read(record.value)
            if isinstance(verdict, Suspended):
                value = message_statuses.write_suspended(send, at_ms)
            else:
                value = message_statuses.write_refusal(send, verdict.block, at_ms)
            own = [marked, *self._needs.cloud_events.of_refusal(send, at_ms)]
            put(
                topics.message_statuses,
                record.key,
                value,
                [*caused, *own] if caused else own,
            )
        out.copy(allowed, plain, [marked])
        metrics = self._needs.metrics
        return GateBatch(self, looked, verdicts, mark, traces, metrics)

    def _sort(self, records: Sequence[Record]) -> Sorted[str]:
        """The records that can be judged, and the key of each one's entry; and the others."""
        found: Sorted[str] = Sorted()
        read = {self._needs.topics.outbound_messages: outbound_messages.read_all}
        good = read_all(records, read, lambda record, why: found.aside.append((record, why)))
        numbers = [to if to[0] == "+" else bare_number(to) for to in [send.to for _, send in good]]
        in_place = placed(good, numbers, self._needs.partitions, into(found))
        found.good = [(record, _entry_of(send)) for record, send in in_place]
        return found

    def _verdicts(self, looked: _Looked) -> dict[int, Verdict]:
        directory = self._needs.services.directory
        verdicts: dict[int, Verdict] = {}
        for index in [index for index, blocks in enumerate(looked.entries) if blocks]:
            # Few are looked at: to read these again is cheaper than to keep all.
            send = outbound_messages.read(looked.records[index].value)
            blocks = looked.entries[index]
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
            for index, key in enumerate(looked.keys):
                if account_of(key) in ended:
                    verdicts[index] = SUSPENDED
        return verdicts

    async def still_judges(self, batch: GateBatch) -> bool:
        """Whether every verdict of a batch still is what the list says."""
        now = await self._list.look(())
        if now.meta.mark == batch.mark:
            return True
        _, entries = await self._look(batch.looked.keys)
        return self._verdicts(replace(batch.looked, entries=entries)) == batch.verdicts

    async def idle(self) -> None:
        """Nothing to do between sends; see ``Stage``."""


def _entry_of(send: OutboundMessage) -> str:
    # An address without a prefix is its list key: so are nearly all.
    to = send.to
    if to[0] == "+":
        return f"{send.account_sid}/{to}"
    return entry_key(send.account_sid, list_key(to, channel_group_of(to)))


def _except_from(verdict: Allowed) -> tuple[str, bytes]:
    """The header that names senders an allowed send must not go out from (R21)."""
    return wire_blocks.EXCEPT_FROM_HEADER, ",".join(verdict.except_from).encode()
