"""The gate: every send against the block list; allowed ones go on, others fail with 21610.

Those of accounts that are suspended or closed fail with 30002.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from processor.core.blocks import UNREADABLE, Blocks, Mark
from processor.core.gate import ALLOWED, SUSPENDED, Allowed, Refused, Suspended, Verdict, judge
from processor.core.messages import bare_number, channel_group_of, entry_key, list_key
from processor.errors import UnreadableEntry
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
from processor.stages.tracing import Traces
from processor.stores.block_list import BlockListStore
from processor.stores.trusted_list import ListTruth, TrustedList
from processor.wire import blocks as wire_blocks
from processor.wire import message_statuses, outbound_messages
from processor.wire.cloud_events import CloudEvents
from processor.wire.headers import kept
from processor.wire.records import Header, Output, Record
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


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the last look looks at again."""

    keys: Sequence[str]
    sends: Sequence[OutboundMessage]
    verdicts: Mapping[int, Verdict]  # index of a send to its verdict, where it is no plain yes
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
        accounts: Accounts,
        cloud_events: CloudEvents,
        metrics: GateMetrics,
        traces: Traces,
        max_staleness_s: float | None = None,
    ) -> None:
        self._partitions = partitions
        self._topics = topics
        self._services = services
        self._accounts = accounts
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
            config=services.view_at,
        )
        self._partition = partition
        self._store = store
        self._tried: set[str] = set()  # entry keys for which the list was rebuilt already
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
        # A gate that starts must not let pass what others stop; later it goes by what it last read.
        await self._accounts.wait_loaded()
        self._loading = False

    async def inherit(self, notes: Iterable[str]) -> None:
        """Nothing, it notes nothing; see ``Stage``."""

    async def recover(self, committed: Mapping[str, int]) -> None:
        """Learn which list to trust; see ``Stage``."""
        await self._list.learn()

    async def process(self, records: Sequence[Record], out: Output) -> None:
        """Judge every send by one look at the list, then put it on or fail it; see ``Stage``."""
        sorted_, faults = separate(records, self._sort)
        sorted_.aside += reasons_of(faults)
        pairs = sorted_.good
        # An address without a prefix is its list key: so are nearly all.
        keys = [
            f"{send.account_sid}/{to}"
            if (to := send.to)[0] == "+"
            else entry_key(send.account_sid, list_key(to, channel_group_of(to)))
            for _, send in pairs
        ]
        mark, entries = await self._look(keys)
        looked = _Looked(pairs, keys, entries)
        _, broken = separate(
            range(len(pairs)), lambda part: self._put_out(looked.only(part), mark, out)
        )
        at_fault = [(pairs[index][0], error) for index, error in broken]
        faults += at_fault
        sorted_.aside += reasons_of(at_fault)
        to_dead_letters(out, self._topics.dead_letters, sorted_.aside, stage=STAGE)
        for record, recipient in sorted_.elsewhere:
            send_on(out, record, recipient, self._partitions)
        out.counts["faults"] += len(faults)

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
                self._metrics.unreadable.inc(len(broken))
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
        await self._store.ask_for_rebuild(self._partition)
        deadline = time.monotonic() + _REBUILT_S
        while (await self._list.look(())).meta.epoch == epoch and time.monotonic() < deadline:
            await asyncio.sleep(_ASK_AGAIN_S)

    def _put_out(self, looked: _Looked, mark: Mark, out: Output) -> None:
        """The verdict on each send; pure."""
        out.clear()
        self._traces.begin()
        sends = [send for _, send in looked.pairs]
        verdicts = self._verdicts(sends, looked.entries)
        self._judged = _Judged(looked.keys, sends, verdicts, mark)
        marked = (wire_blocks.MARK_HEADER, str(mark).encode())
        allowed, put = self._topics.allowed_sends, out.put
        only_mark: list[Header] = [marked]
        for index, (record, send) in enumerate(looked.pairs):
            headers: list[Header] = only_mark
            caused = None
            verdict = verdicts.get(index)  # None: a plain yes, as for nearly all
            if record.headers:
                said = "allowed" if verdict is None else _SAID[type(verdict)]
                caused = self._traces.headers(record, verdict=said)
                passed = kept(record.headers)
                out.counts["surplus_headers"] += len(record.headers) - len(passed)
                headers = [*passed, marked]
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
            own = [marked, *self._cloud_events.of_refusal(send, at_ms)]
            put(
                self._topics.message_statuses,
                record.key,
                value,
                [*caused, *own] if caused else own,
            )

    def _sort(self, records: Sequence[Record]) -> Sorted[OutboundMessage]:
        """The records that can be judged, and the send of each; and those that cannot."""
        found: Sorted[OutboundMessage] = Sorted()
        read = {self._topics.outbound_messages: outbound_messages.read_all}
        good = read_all(records, read, lambda record, why: found.aside.append((record, why)))
        numbers = [to if to[0] == "+" else bare_number(to) for to in [send.to for _, send in good]]
        found.good = placed(good, numbers, self._partitions, into(found))
        return found

    def _verdicts(
        self, sends: Sequence[OutboundMessage], entries: Sequence[Blocks]
    ) -> dict[int, Verdict]:
        directory = self._services.directory
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
        if ended := self._accounts.ended:  # nearly always empty
            for index, send in enumerate(sends):
                if send.account_sid in ended:
                    verdicts[index] = SUSPENDED
        return verdicts

    async def last_look(self) -> bool:
        """Whether every verdict still is what the list says; see ``Stage``."""
        judged = self._judged
        if judged is None:
            return True
        now = await self._list.look(())
        if now.meta.mark == judged.mark:
            return True
        _, entries = await self._look(judged.keys)
        return self._verdicts(judged.sends, entries) == judged.verdicts

    @property
    def note(self) -> str:
        """Nothing, it writes no list; see ``Stage``."""
        return ""

    def committed(self) -> None:
        """Count the verdicts; see ``Stage``."""
        self._traces.committed()
        if judged := self._judged:
            said = Counter(_SAID[type(one)] for one in judged.verdicts.values())
            refused, suspended = said["refused"], said["suspended"]
            allowed = len(judged.sends) - refused - suspended
            self._metrics.judged(allowed=allowed, refused=refused, suspended=suspended)

    async def idle(self) -> None:
        """Nothing to do between sends; see ``Stage``."""


def _except_from(verdict: Allowed) -> tuple[str, bytes]:
    """The header that names senders an allowed send must not go out from (R21)."""
    return wire_blocks.EXCEPT_FROM_HEADER, ",".join(verdict.except_from).encode()
