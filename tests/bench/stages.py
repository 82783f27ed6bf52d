"""The measured stages, held back until all partitions can begin at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from processor.kafka.lanes.exactly_once import Batch, Stage
from processor.kafka.lanes.supervisor import Lanes
from processor.metrics import GateMetrics, LaneMetrics, MatchMetrics
from processor.stages.gate_outbound import GateDependencies, GateOutbound
from processor.stages.match_inbound import MatchDependencies, MatchInbound
from processor.stages.tracing import Traces
from processor.stores.measured_block_list import MeasuredBlockList
from processor.stores.redis_block_list import block_list_store
from processor.wire.records import Output
from processor.wire.topics import Topics
from processor.worker.shared import Shared
from tests.bench.installations import PARTITIONS
from tests.bench.jobs import Job


class PassedOn:
    """A batch that was only passed on."""

    note = ""

    async def still_holds(self) -> bool:
        """See ``Batch``."""
        return True

    async def committed(self) -> None:
        """See ``Batch``."""


class Passthrough:
    """A stage that only passes records on, to measure the lanes themselves."""

    waits_for = None

    def __init__(self, topic: str) -> None:
        self._topic = topic

    async def claim(self) -> None:
        """See ``Stage``."""

    async def inherit(self, notes: Iterable[str]) -> str:
        """See ``Stage``."""
        return ""

    async def recover(self, committed: Mapping[str, int]) -> str:
        """See ``Stage``."""
        return ""

    async def process(self, records: Sequence[Any], out: Output) -> Batch:
        """Put every record out unchanged; see ``Stage``."""
        put, topic = out.put, self._topic
        for record in records:
            put(topic, record.key, record.value, [*record.headers] if record.headers else None)
        return PassedOn()

    async def idle(self) -> None:
        """See ``Stage``."""


class Start:
    """The moment when every partition is taken; no stage begins earlier."""

    def __init__(self) -> None:
        self.given = asyncio.Event()
        self.began = 0.0  # monotonic seconds, at the first record
        self.cpu_began = 0.0
        self.batches = 0
        self.services_s = 0.0
        self.services_rss_mb = 0.0
        self.processed_at: dict[int, float] = {}  # partition to the time of its last batch
        self._taken: set[int] = set()

    async def wait(self, partition: int) -> None:
        """Wait for all the others."""
        self._taken.add(partition)
        if len(self._taken) == PARTITIONS:
            self.given.set()
        await self.given.wait()

    def batch(self) -> None:
        """A batch was read."""
        if not self.batches:
            self.began, self.cpu_began = time.monotonic(), time.process_time()
        self.batches += 1


class Held:
    """A stage that begins with all the others, so that taking partitions is not measured."""

    def __init__(self, partition: int, stage: Stage, start: Start) -> None:
        self._partition = partition
        self._stage = stage
        self._start = start
        self.claim = stage.claim
        self.idle = stage.idle

    @property
    def waits_for(self) -> str | None:
        """See ``Stage``."""
        return self._stage.waits_for

    async def inherit(self, notes: Iterable[str]) -> str:
        """See ``Stage``."""
        return await self._stage.inherit(notes)

    async def recover(self, committed: Mapping[str, int]) -> str:
        """Recover, and wait for the others; see ``Stage``."""
        note = await self._stage.recover(committed)
        await self._start.wait(self._partition)
        return note

    async def process(self, records: Sequence[Any], out: Output) -> Batch:
        """Process, and record the time; see ``Stage``."""
        self._start.batch()
        batch = await self._stage.process(records, out)
        self._start.processed_at[self._partition] = time.monotonic()
        return batch


def source_of(job: Job) -> str:
    """The full name of the load's topic."""
    topics = Topics.under(job.source_prefix)
    return topics.outbound_messages if job.role == "gate" else topics.inbound_messages


def lanes(shared: Shared, job: Job, start: Start) -> Lanes:
    """The lanes of a role; they read another installation's load, and write into their own."""
    settings, topics, source = shared.settings, shared.topics, source_of(job)
    sources = [source]
    make: Callable[[int], Stage]
    match job.role:
        case "passthrough":

            def make(partition: int) -> Stage:
                return Passthrough(topics.allowed_sends)

        case "match" | "one_service" | "many_services":
            sources.append(topics.consent_commands)

            def make(partition: int) -> Stage:
                needs = MatchDependencies(
                    partitions=settings.partitions,
                    topics=replace(topics, inbound_messages=source),
                    scope=settings.block_scope,
                    store=MeasuredBlockList(shared.store, shared.metrics, "match"),
                    block_list=shared.truth(),
                    services=shared.services,
                    cloud_events=shared.cloud_events,
                    counts=shared.counts,
                    metrics=MatchMetrics(shared.metrics),
                    traces=Traces(),
                    handled=shared.handled,
                )
                return MatchInbound(partition, needs)

        case "gate":
            listed = settings.model_copy(update={"topic_prefix": job.source_prefix})
            store = block_list_store(listed, shared.redis)
            block_list = shared.truth(Topics.under(job.source_prefix).block_list)

            def make(partition: int) -> Stage:
                needs = GateDependencies(
                    partitions=settings.partitions,
                    topics=replace(topics, outbound_messages=source),
                    store=MeasuredBlockList(store, shared.metrics, "gate"),
                    block_list=block_list,
                    services=shared.services,
                    accounts=shared.accounts,
                    cloud_events=shared.cloud_events,
                    counts=shared.send_counts,
                    metrics=GateMetrics(shared.metrics),
                    traces=Traces(),
                )
                return GateOutbound(partition, needs)

        case "faust":
            raise ValueError("Faust has no lanes")
    return Lanes(
        settings,
        group=f"{settings.topic_prefix}{job.role}",
        topics=sources,
        outputs=[],
        stage=lambda partition: Held(partition, make(partition), start),
        metrics=LaneMetrics(shared.metrics, job.role),
    )
