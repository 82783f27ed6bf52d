"""One partition of an installation in memory: the real stages, their topics as lists, an audit."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from processor.audit.context import Context, Range
from processor.audit.engine import Engine
from processor.audit.history import Histories
from processor.audit.letter_round import judge_letters
from processor.audit.linked_verdicts import LinkedVerdicts
from processor.audit.opening import open_streams
from processor.audit.report import Findings
from processor.audit.services import Accounts, Services
from processor.audit.state import PartitionState
from processor.audit.values import (
    COMMANDS,
    CONFIGURATION,
    HAND_OVERS,
    INBOUND,
    LETTERS,
    OUTBOUND,
    OUTPUTS,
    SERVICES,
    SOURCES,
    STATUSES,
)
from processor.core.blocks import ConfigView
from processor.core.messages import Scope
from processor.core.partitions import partition_of
from processor.core.services import Directory
from processor.metrics import GateMetrics, MatchMetrics, Metrics
from processor.stages.accounts import AllActive
from processor.stages.gate_outbound import GateDependencies, GateOutbound
from processor.stages.match_inbound import MatchDependencies, MatchInbound
from processor.stages.tracing import Traces
from processor.stores.memory import MemoryBlockList
from processor.wire.cloud_events import CloudEvents
from processor.wire.json_values import to_text
from processor.wire.services import read_service
from processor.wire.topics import Topics
from tests.builders import ACCOUNT, LONG_CODE, NOW_MS, RECIPIENT
from tests.ears import an_ear
from tests.one_lane import EmptyList, Kept, NothingHandled
from tests.small_carrier import SmallCarrier

PARTITIONS = 1
_STEP_MS = 2_000  # brokers may differ by a second


class Written(NamedTuple):
    """A record in a topic."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


async def _nothing_ahead(partition: int) -> None:
    """The world's logs are read to their end."""


class _Followed:
    """The services as a follower has them."""

    def __init__(self) -> None:
        self.directory = Directory()
        self.view = ConfigView("id", 0)

    def view_at(self, position: int) -> None:
        """No older view."""

    async def wait_loaded(self) -> None:
        """It is loaded."""

    wait_current = wait_loaded
    wait_until = view_at


class World:
    """An installation with a partition; ``logs`` has every topic, to be read and to be harmed.

    Args:
        scope: of new blocks.
        partitions: that it is said to have; only the first is worked.
    """

    def __init__(self, scope: Scope = Scope.ACCOUNT, partitions: int = PARTITIONS) -> None:
        self.logs: dict[str, list[Written]] = defaultdict(list)
        self.now_ms = NOW_MS
        self.partitions = partitions
        self.done: dict[str, int] = dict.fromkeys(SOURCES, 0)
        self.snapshots = [dict(self.done)]  # of the groups' offsets, after each batch
        self._followed = _Followed()
        self._store = MemoryBlockList(lambda: self.now_ms)
        self._fakes: Any = SimpleNamespace(
            services=self._followed,
            block_list=EmptyList(),
            handled=NothingHandled(),
            counts=SimpleNamespace(add=lambda matched: None),
        )
        self._scope = scope
        self._match: MatchInbound | None = None
        self._gate: GateOutbound | None = None
        self._carrier: SmallCarrier | None = None

    def append(self, topic: str, key: Any, value: Any, headers: Any = ()) -> Written:
        """Write a record as the broker would."""
        log = self.logs[topic]
        offset = log[-1].offset + 1 if log else 0
        record = Written(topic, 0, offset, self.now_ms, key, value, tuple(headers or ()))
        log.append(record)
        return record

    def pass_time(self, ms: int = _STEP_MS) -> None:
        """Let time pass."""
        self.now_ms += ms

    def configure(self, **fields: Any) -> None:
        """Save a service, given as its stored document."""
        value = json.dumps(fields | {"updated_at": to_text(self.now_ms)}).encode()
        record = self.append(SERVICES, fields["sid"].encode(), value)
        self._followed.directory.change({fields["sid"]: read_service(value)})
        self._followed.view = ConfigView("id", record.offset + 1)

    def text(self, sid: str, body: str, headers: Any = (), **changes: Any) -> Written:
        """A recipient's text."""
        fields: dict[str, Any] = {
            "message_sid": sid,
            "account_sid": ACCOUNT,
            "from": RECIPIENT,
            "to": LONG_CODE,
            "body": body,
            "received_at": to_text(self.now_ms),
        } | changes
        key = fields["from"].rpartition(":")[2].encode()
        return self.append(INBOUND, key, json.dumps(fields).encode(), headers)

    def late_text(self, sid: str, body: str, late_ms: int, **changes: Any) -> Written:
        """A text that the carrier held back."""
        return self.text(sid, body, received_at=to_text(self.now_ms - late_ms), **changes)

    def command(self, id_: str, *, blocked: bool, headers: Any = (), **changes: Any) -> Written:
        """An operator's command."""
        fields: dict[str, Any] = {
            "command_id": id_,
            "account_sid": ACCOUNT,
            "scope": "account",
            "recipient": RECIPIENT,
            "channel_group": "sms",
            "blocked": blocked,
            "source": "operator",
            "reason": "asked by phone",
            "at": to_text(self.now_ms),
        } | changes
        key = fields["recipient"].encode()
        return self.append(COMMANDS, key, json.dumps(fields).encode(), headers)

    def send(self, sid: str, headers: Any = (), **changes: Any) -> Written:
        """An application's send."""
        fields: dict[str, Any] = {
            "message_sid": sid,
            "account_sid": ACCOUNT,
            "from": LONG_CODE,
            "to": RECIPIENT,
            "body": "Your appointment is tomorrow.",
            "created_at": to_text(self.now_ms),
        } | changes
        key = fields["to"].rpartition(":")[2].encode()
        return self.append(OUTBOUND, key, json.dumps(fields).encode(), headers)

    async def match(self) -> None:
        """Process what recipients and operators wrote, as one batch."""
        await self._process(await self._owner(), INBOUND, COMMANDS)

    async def _owner(self) -> MatchInbound:
        """The owner of the list; a gate waits until there is one."""
        if self._match is None:
            needs = MatchDependencies(
                partitions=self.partitions,
                topics=Topics.under(""),
                scope=self._scope,
                store=self._store,
                block_list=self._fakes.block_list,
                services=self._fakes.services,
                cloud_events=CloudEvents("urn:test"),
                counts=self._fakes.counts,
                metrics=MatchMetrics(Metrics()),
                traces=Traces(),
                handled=self._fakes.handled,
                ear=an_ear(),
            )
            self._match = MatchInbound(0, needs)
            await self._match.claim()
            await self._match.inherit(())
            await self._match.recover({})
        return self._match

    async def gate(self) -> None:
        """Judge what applications wrote, as one batch."""
        await self._owner()
        if self._gate is None:
            needs = GateDependencies(
                partitions=self.partitions,
                topics=Topics.under(""),
                store=self._store,
                block_list=self._fakes.block_list,
                services=self._fakes.services,
                accounts=AllActive(),
                cloud_events=CloudEvents("urn:test"),
                counts=self._fakes.counts,
                metrics=GateMetrics(Metrics()),
                traces=Traces(),
            )
            self._gate = GateOutbound(0, needs)
            await self._gate.recover({})
        await self._process(self._gate, OUTBOUND)

    async def carry(self, *statuses: int, answered_ms: int = 0) -> None:
        """Let a carrier answer what match and gate wrote for it, and what is due again.

        Args:
            statuses: of its first responses; the others are 201.
            answered_ms: until it answers; match works meanwhile.
        """
        await self._owner()
        if self._carrier is None:
            self._carrier = SmallCarrier(self._store, self._fakes, lambda: self.now_ms)
        handed_over = await self._carrier.hand_over(self.logs, statuses)
        if answered_ms:
            await self.match()
            self.pass_time(answered_ms)
        for one in handed_over:
            self.append(one.topic, one.key, one.value, one.headers)
        self.pass_time()

    async def _process(self, stage: Any, *topics: str) -> None:
        new = [
            record
            for topic in topics
            for record in self.logs[topic]
            if record.offset >= self.done[topic]
        ]
        out = Kept()
        await stage.process(sorted(new, key=lambda one: one.timestamp), out)
        self.pass_time(10)
        for one in out.put_out:
            # Records that are sent on go to other partitions, where there are some.
            if one.topic not in SOURCES or self.partitions == 1:
                self.append(one.topic, one.key, one.value, one.headers)
        for record in new:
            self.done[record.topic] = record.offset + 1
        self.snapshots.append(dict(self.done))
        self.pass_time()

    async def audit(
        self,
        directory: Path | None = None,
        *,
        ends: Mapping[str, int] | None = None,
        skew_ms: int = 0,
        until_ms: float = float("inf"),
    ) -> Audited:
        """Audit the partition, from where the state of the directory ended."""
        path = directory and directory / "partition-0.sqlite"
        state = PartitionState(path, {"test": "small world"})
        findings = Findings()
        start = json.loads(state.get("start") or json.dumps(dict.fromkeys(SOURCES, 0)))
        begins = {
            topic: int(state.get(f"next {topic}") or 0)
            for topic in (*SOURCES, *OUTPUTS, HAND_OVERS)
        }
        services, accounts = Services(), Accounts()
        for record in self.logs[SERVICES]:
            services.add(record)
        for record in self.logs[CONFIGURATION]:
            accounts.add(record)
        letters: dict[str, set[int]] = defaultdict(set)
        for record in self.logs[LETTERS]:
            said = dict(record.headers)
            topic = (said["__connect.errors.topic"] or b"").decode()
            letters[topic].add(int(said["__connect.errors.offset"] or b"0"))
        context = Context(
            0,
            self.partitions,
            state,
            Histories(state),
            services,
            accounts,
            Range(dict.fromkeys(SOURCES, 0), start, dict(ends or self.done)),
            findings,
            letters,
            skew_ms,
            until_ms=until_ms,
        )
        fills = {topic: self._fill(topic, begins[topic]) for topic in begins}

        def unreadable(topic: str, record: Any) -> None:
            findings.add("contradictory", f"{topic}@{record.offset}", "is not valid")

        engine = Engine(context, open_streams(fills, begins, unreadable))
        saved = await engine.run()
        later = await engine.later_entries()
        engine.check_list(later)
        state.save({**saved, "start": json.dumps(dict(context.range.end))}, 0)
        await engine.look_ahead()
        state.write(0)
        checks = LinkedVerdicts({0: state}, services, findings, skew_ms)
        await judge_letters(checks, {0: state}, _nothing_ahead)
        state.close()
        return Audited(findings, context)

    def _fill(self, topic: str, begin: int) -> Callable[[], Any]:
        log = self.logs[STATUSES if topic == HAND_OVERS else topic]
        left = [record for record in log if record.offset >= begin]
        batches = iter([left] if left else [])

        async def fill() -> Sequence[Any]:
            return next(batches, ())

        return fill


class Audited(NamedTuple):
    """The findings of an audit, and its context."""

    findings: Findings
    context: Context

    @property
    def kinds(self) -> set[str]:
        """The kinds of violations."""
        return {one.kind for one in self.findings.violations}

    @property
    def said(self) -> list[str]:
        """The violations in words."""
        return [f"{one.kind} {one.where}: {one.what}" for one in self.findings.violations]


def elsewhere(partitions: int) -> str:
    """A recipient of another partition than the first."""
    numbers = (f"+1555765{number:04}" for number in range(10_000))
    return next(one for one in numbers if partition_of(one.encode(), partitions) != 0)


def here(partitions: int, than: str = "") -> str:
    """Another recipient of the first partition."""
    numbers = (f"+1555765{number:04}" for number in range(10_000))
    return next(
        one for one in numbers if one != than and partition_of(one.encode(), partitions) == 0
    )
