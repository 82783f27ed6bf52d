"""A run without servers: the outputs of match and gate for some traffic, and the webhooks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import orjson

from processor.core.messages import Scope
from processor.kafka.fetched import UnreadBatch
from processor.kafka.writing import Outgoing
from processor.metrics import GateMetrics, MatchMetrics, Metrics
from processor.stages.accounts import AllActive
from processor.stages.gate_outbound import GateDependencies, GateOutbound
from processor.stages.match_inbound import MatchDependencies, MatchInbound
from processor.stages.tracing import Traces
from processor.stores.memory import MemoryBlockList
from processor.webhooks.signature import idempotency_token
from processor.wire import dead_letters, webhook_deliveries
from processor.wire.cloud_events import CloudEvents
from processor.wire.services import service_of
from processor.wire.topics import Topics
from tests.chaos import world
from tests.chaos.application import Applications, delivery_of
from tests.chaos.limits import RECORD_BYTES, near_limits
from tests.chaos.seen import TOPICS, Seen
from tests.chaos.traffic import Traffic, Written
from tests.one_lane import EmptyList, Kept, NothingHandled, Services

BASE, NOWHERE = "http://127.0.0.1:4000", "http://127.0.0.2:4000"
_ALL = Topics.under("")
_KINDS = 43  # of records near a limit


@dataclass
class Run:
    """All records that were written, and their results."""

    records: list[Any] = field(default_factory=list)
    written: dict[str, Written] = field(default_factory=dict)
    applications: Applications = field(default_factory=lambda: Applications(1))
    scope: str = "account"

    def of(self, topic: str) -> list[Any]:
        """The records of a topic."""
        return [one for one in self.records if one.topic == topic]

    def seen(self) -> Seen:
        """The run in the verdict's form."""
        seen = Seen(asked=self.applications.asked)
        for topic in TOPICS:
            for record in self.of(topic):
                seen.add(topic, record)
        return seen


async def a_run(scope: str, *, seed: int = 1, rounds: int = 400) -> Run:
    """Traffic and its results when nothing goes wrong."""
    traffic = Traffic(seed, _ALL)
    links = traffic.links()
    edges = near_limits(traffic)
    written: list[Written] = []
    for _ in range(rounds):
        written += traffic.texts() + traffic.sends({})
    for _ in range(max(_KINDS, rounds // 10)):
        written += traffic.commands()
        written += next(edges)
    stop, start, other = traffic.conversation()
    written += [stop, start, other, stop]
    numbers = dict.fromkeys((one.record.key or b"").decode() for one in written)
    written += traffic.last_sends(list(numbers)[:60])
    run = Run(scope=scope)
    run.written = {one.id: one.noted() for one in (*links, *written)}
    offsets: Counter[str] = Counter()
    store = MemoryBlockList(lambda: time.time_ns() // 1_000_000)
    stage = await _match(store, scope)
    sources: list[Any] = []
    for group in (links, written):
        sources = [_record(one.record, offsets) for one in group]
        run.records += sources
        for outgoing in await _matched(stage, sources, offsets, run):
            run.records.append(_record(outgoing, offsets))
    for outgoing in await _judged(store, sources):
        run.records.append(_record(outgoing, offsets))
    for outgoing in _delivered(run):
        run.records.append(_record(outgoing, offsets))
    return run


def _record(one: Outgoing, offsets: Counter[str]) -> Any:
    offset, at_ms = offsets[one.topic], time.time_ns() // 1_000_000
    offsets[one.topic] += 1
    if len(one.value or b"") > RECORD_BYTES:
        place = (one.topic, 0, offset, at_ms, 1, offset, len(one.value or b""), "00")
        return UnreadBatch(*place, "more than a record may have")
    return SimpleNamespace(
        topic=one.topic,
        partition=0,
        offset=offset,
        timestamp=at_ms,
        timestamp_type=1,
        key=one.key,
        value=one.value,
        headers=tuple(one.headers),
    )


def _services() -> Services:
    return Services(map(service_of, world.services(BASE, NOWHERE)))


async def _match(store: Any, scope: str) -> MatchInbound:
    nothing: Any = SimpleNamespace(add=lambda matched: None)
    services: Any = _services()
    block_list: Any = EmptyList()
    handled: Any = NothingHandled()
    needs = MatchDependencies(
        partitions=1,
        topics=_ALL,
        scope=Scope(scope),
        store=store,
        block_list=block_list,
        services=services,
        cloud_events=CloudEvents("urn:test"),
        counts=nothing,
        metrics=MatchMetrics(Metrics()),
        traces=Traces(),
        handled=handled,
    )
    stage = MatchInbound(0, needs)
    await stage.claim()
    await stage.inherit(())
    await stage.recover({})
    return stage


async def _matched(
    stage: MatchInbound, records: Sequence[Any], offsets: Counter[str], run: Run
) -> Sequence[Outgoing]:
    """Match records, then those that were sent on to another address (R32), until none is left."""
    topics = _ALL.sources("match")
    mine = [one for one in records if one.topic in topics]
    put_out: list[Outgoing] = []
    while mine:
        left, mine = mine, []
        for first in range(0, len(left), 50):
            out = Kept()
            await stage.process(left[first : first + 50], out)
            put_out += [one for one in out.put_out if one.topic not in topics]
            mine += [_record(one, offsets) for one in out.put_out if one.topic in topics]
        run.records += mine
    return put_out


async def _judged(store: Any, records: Sequence[Any]) -> Sequence[Outgoing]:
    counts: Any = SimpleNamespace(add=lambda judged: None)
    services: Any = _services()
    needs = GateDependencies(
        partitions=1,
        topics=_ALL,
        store=store,
        block_list=EmptyList(),
        services=services,
        accounts=AllActive(),
        cloud_events=CloudEvents("urn:test"),
        counts=counts,
        metrics=GateMetrics(Metrics()),
        traces=Traces(),
    )
    stage = GateOutbound(0, needs)
    await stage.recover({})
    out = Kept()
    await stage.process([one for one in records if one.topic == _ALL.outbound_messages], out)
    return out.put_out


def _delivered(run: Run) -> Iterable[Outgoing]:
    """Request every application once; dead-letter the deliveries to the absent application."""
    directory = _services().directory
    for record in [*run.of(_ALL.webhook_deliveries), *run.of(_ALL.message_statuses)]:
        if record.topic == _ALL.webhook_deliveries:
            delivery = webhook_deliveries.read(record.value)
        else:
            status = webhook_deliveries.read_status(record.value)
            service = directory.service_of(
                status.account_sid, status.messaging_service_sid, status.from_
            )
            if service is None or service.status_callback is None:
                continue
            delivery = webhook_deliveries.callback_of(status, service.status_callback)
        if delivery.url.startswith(NOWHERE):
            value = webhook_deliveries.write(delivery)
            letter = dead_letters.letter_of(
                record,
                stage="deliver_webhooks",
                reason="11205: no connection; attempt 2",
                value=value,
            )
            yield Outgoing(_ALL.dead_letters, letter.key, letter.value, letter.headers)
            continue
        key = delivery_of(world.path_of(delivery.url), delivery.parameters)
        asked = run.applications.asked[key]
        asked.count, asked.answered = asked.count + 1, asked.answered + 1
        asked.tokens.add(idempotency_token(delivery.account_sid, delivery.delivery_id))


def values(records: Iterable[Any]) -> list[dict[str, Any]]:
    """The values of records."""
    return [orjson.loads(one.value) for one in records]
