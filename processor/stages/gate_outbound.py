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

from processor.core.blocks import UNREADABLE, Blocks, Mark, Stored
from processor.core.gate import ALLOWED, SUSPENDED, Allowed, Refused, Suspended, Verdict, judge
from processor.errors import UnreadableEntry
from processor.kafka.topics.counts_topic import CountsTopic
from processor.kafka.topics.services_topic import ServicesTopic
from processor.metrics import GateMetrics
from processor.stages.accounts import Accounts
from processor.stages.faults import separate
from processor.stages.linked_entries import LinkedEntries, Marks, header_of
from processor.stages.records import reasons_of, send_on, to_dead_letters
from processor.stages.sends import SendReader, Sends
from processor.stages.tracing import BatchTraces, Traces
from processor.stores.block_list import BlockListReader
from processor.stores.trusted_list import ListTruth, TrustedList
from processor.wire import blocks as wire_blocks
from processor.wire import message_statuses, outbound_messages
from processor.wire.cloud_events import CloudEvents
from processor.wire.headers import SERVICE, config_of, kept, source_of
from processor.wire.records import Header, Output, Record
from processor.wire.screening import Origin
from processor.wire.send_counts import Judged
from processor.wire.topics import Topics

logger = logging.getLogger(__name__)

STAGE = "gate_outbound"
_MOST_TRIED = 10_000
_REBUILT_S = 10.0  # an entry that cannot be read is waited for; then its recipient is blocked
_ASK_AGAIN_S = 0.05
_SAID = {Allowed: "allowed", Refused: "refused", Suspended: "suspended"}


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
    sends: Sends
    verdicts: Mapping[int, Verdict]  # by index of a send, unless it is allowed without conditions
    mark: Mark
    others: Marks  # of other partitions' lists, where user ids have links
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
        allowed = len(self.sends.records) - refused - suspended
        self.metrics.judged(allowed=allowed, refused=refused, suspended=suspended)
        self.gate.count(self)


class GateOutbound:
    """The gate of one partition; it reads the block list and never writes it; see ``Stage``."""

    def __init__(self, partition: int, needs: GateDependencies) -> None:
        self._partition = partition
        self._needs = needs
        self._list = self._list_of(partition)
        self._linked = LinkedEntries(needs.partitions, self._list_of)
        self._reader = SendReader(needs.topics.outbound_messages, needs.partitions)
        self._tried: set[str] = set()  # entry keys for which the list was rebuilt already
        self._loading = False

    def _list_of(self, partition: int) -> TrustedList:
        needs = self._needs
        return TrustedList(
            partition,
            partitions=needs.partitions,
            store=needs.store,
            truth=needs.block_list,
            max_staleness_s=needs.max_staleness_s,
            waited=needs.metrics.waited,
            config=needs.services.view_at,
        )

    @property
    def waits_for(self) -> str | None:
        """Why no send can be judged now; see ``Stage``."""
        if self._loading:
            return "the configuration is being read"
        return self._list.waits_for or self._linked.waits_for

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
        self._linked.forget()
        return ""

    async def process(self, records: Sequence[Record], out: Output) -> GateBatch:
        """Judge every send by one look at the list, then put it on or fail it; see ``Stage``."""
        sends, sorted_, faults = self._reader.read(records)
        mark, entries, others = await self._look(sends.keys)
        sends = replace(sends, entries=entries)
        judged, broken = separate(
            range(len(entries)), lambda part: self._put_out(sends.only(part), mark, others, out)
        )
        at_fault = [(sends.records[index], error) for index, error in broken]
        faults += at_fault
        sorted_.aside += reasons_of(at_fault)
        to_dead_letters(out, self._needs.topics.dead_letters, sorted_.aside, stage=STAGE)
        for record, recipient in sorted_.elsewhere:
            send_on(out, record, recipient, self._needs.partitions)
        out.counts["faults"] += len(faults)
        return judged

    async def _look(self, keys: Sequence[str]) -> tuple[Mark, Sequence[Blocks], Marks]:
        """The blocks of entries; for one that cannot be read the list is rebuilt, once (R25).

        Returns:
            The list's mark, the blocks of each entry, and the marks of other partitions' lists
            that had to be read, as user ids have links into them.
        """
        while True:
            found = await self._list.look(keys)
            broken: set[str] = set()
            blocks: list[Blocks] = [()] * len(keys)
            links: dict[str, Stored] = {}
            for index in found.hits:
                try:
                    entry = wire_blocks.stored_in(found.values[index] or b"")
                    blocks[index] = entry.blocks
                    if entry.names.link is not None:
                        links[keys[index]] = entry
                except UnreadableEntry:
                    blocks[index] = (UNREADABLE,)
                    broken.add(keys[index])
            if broken <= self._tried:
                self._needs.metrics.unreadable.inc(len(broken))
                others: Marks = {}
                if links:
                    followed, others = await self._linked.follow(links)
                    blocks = [followed.get(key, own) for key, own in zip(keys, blocks, strict=True)]
                return found.meta.mark, blocks, others
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

    def _put_out(self, sends: Sends, mark: Mark, others: Marks, out: Output) -> GateBatch:
        """The verdict on each send; pure."""
        out.clear()
        traces, topics = self._needs.traces.begin(), self._needs.topics
        verdicts = self._verdicts(sends)
        marked: list[Header] = [(wire_blocks.MARK_HEADER, str(mark).encode())]
        if others:
            marked.append((wire_blocks.LINKED_HEADER, header_of(others)))
        allowed, put = topics.allowed_sends, out.put
        config = config_of(self._needs.services.view)
        plain: list[Record] = []  # sends to copy, before the next send that is not plain
        for index, record in enumerate(sends.records):
            verdict = verdicts.get(index)  # None: a plain yes, as for nearly all
            has_blocks = bool(sends.entries[index])
            if verdict is None and not record.headers and not has_blocks:
                plain.append(record)
                continue
            own = headers = [*marked, source_of(record)]
            if has_blocks:  # only there can the configuration decide
                own = headers = [*own, config, (SERVICE, self._service(sends.origins[index]))]
            caused = None
            if record.headers:
                said = "allowed" if verdict is None else _SAID[type(verdict)]
                caused = traces.headers(record, verdict=said)
                passed = kept(record.headers)
                out.counts["surplus_headers"] += len(record.headers) - len(passed)
                headers = [*passed, *own]
            if verdict is None or isinstance(verdict, Allowed):
                out.copy(allowed, plain, marked)
                plain = []
                more = [] if verdict is None else [_except_from(verdict)]
                put(allowed, record.key, record.value, [*headers, *more])
                continue
            at_ms, send = record.timestamp, outbound_messages.read(record.value)
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
        out.copy(allowed, plain, marked)
        metrics = self._needs.metrics
        return GateBatch(self, sends, verdicts, mark, others, traces, metrics)

    def _service(self, origin: Origin) -> bytes:
        """The service that its blocks are looked up by; empty if there is none."""
        return (self._needs.services.directory.service_sid_of(*origin) or "").encode()

    def _verdicts(self, sends: Sends) -> dict[int, Verdict]:
        directory = self._needs.services.directory
        verdicts: dict[int, Verdict] = {}
        for index in [index for index, blocks in enumerate(sends.entries) if blocks]:
            # Few sends have blocks: to read these again is cheaper than to keep all.
            send = outbound_messages.read(sends.records[index].value)
            blocks = sends.entries[index]
            service_sid = directory.service_sid_of(*sends.origins[index])
            pool = (
                directory.pool_for(send.account_sid, service_sid, send.to)
                if send.from_ is None
                else ()
            )
            verdict = judge(outbound_messages.send_of(send, service_sid), blocks, pool)
            if verdict != ALLOWED:
                verdicts[index] = verdict
        if ended := self._needs.accounts.ended:  # nearly always empty
            for index, (account_sid, _, _) in enumerate(sends.origins):
                if account_sid in ended:
                    verdicts[index] = SUSPENDED
        return verdicts

    async def still_judges(self, batch: GateBatch) -> bool:
        """Whether every verdict of a batch still is what the list says."""
        now = await self._list.look(())
        if now.meta.mark == batch.mark and await self._linked.are_at(batch.others):
            return True
        _, entries, _ = await self._look(batch.sends.keys)
        return self._verdicts(replace(batch.sends, entries=entries)) == batch.verdicts

    def count(self, batch: GateBatch) -> None:
        """Count a batch's verdicts by service; one look-up for each service and sender in it."""
        origins = batch.sends.origins
        allowed = Counter(origins)
        failed = Counter(
            (origins[index], said)
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
