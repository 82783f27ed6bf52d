"""The stages under measurement, and how they are held until all partitions can begin at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from processor.app import Runtime
from processor.kafka.lanes.exactly_once import Output, Stage
from processor.kafka.lanes.supervisor import Lanes
from processor.metrics import GateMetrics, LaneMetrics, MatchMetrics
from processor.stages.gate_outbound import GateOutbound
from processor.stages.match_inbound import MatchInbound
from processor.stages.tracing import Traces
from processor.stores.measured_block_list import MeasuredBlockList
from processor.stores.redis_block_list import block_list_store
from processor.wire.topics import Topics
from tests.bench.installations import PARTITIONS
from tests.bench.jobs import Job


class Passthrough:
    """A stage that only forwards, to measure the cost of the lanes themselves."""

    waits_for = None
    note = ""

    def __init__(self, topic: str) -> None:
        self._topic = topic

    async def claim(self) -> None:
        """See ``Stage``."""

    async def inherit(self, notes: Iterable[str]) -> None:
        """See ``Stage``."""

    async def recover(self, committed: Mapping[str, int]) -> None:
        """See ``Stage``."""

    async def process(self, records: Sequence[Any], out: Output) -> None:
        """Put every record out unchanged; see ``Stage``."""
        put, topic = out.put, self._topic
        for record in records:
            put(topic, record.key, record.value, [*record.headers] if record.headers else None)

    async def last_look(self) -> bool:
        """See ``Stage``."""
        return True

    def committed(self) -> None:
        """See ``Stage``."""

    async def idle(self) -> None:
        """See ``Stage``."""


class Start:
    """The moment when every partition is taken: none begins earlier."""

    def __init__(self) -> None:
        self.given = asyncio.Event()
        self.began = 0.0  # monotonic seconds; the first record read
        self.cpu_began = 0.0
        self.batches = 0
        self.services_s = 0.0
        self.services_rss_mb = 0.0
        self.processed_at: dict[int, float] = {}  # partition to when its last batch was processed
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
        self.last_look = stage.last_look
        self.idle = stage.idle
        self.committed = stage.committed

    @property
    def waits_for(self) -> str | None:
        """See ``Stage``."""
        return self._stage.waits_for

    @property
    def note(self) -> str:
        """See ``Stage``."""
        return self._stage.note

    async def inherit(self, notes: Iterable[str]) -> None:
        """See ``Stage``."""
        await self._stage.inherit(notes)

    async def recover(self, committed: Mapping[str, int]) -> None:
        """Recover, and wait for the others; see ``Stage``."""
        await self._stage.recover(committed)
        await self._start.wait(self._partition)

    async def process(self, records: Sequence[Any], out: Output) -> None:
        """Process, and note when; see ``Stage``."""
        self._start.batch()
        await self._stage.process(records, out)
        self._start.processed_at[self._partition] = time.monotonic()


def source_of(job: Job) -> str:
    """The full name of the topic that holds the load."""
    topics = Topics.under(job.source_prefix)
    return topics.outbound_messages if job.role == "gate" else topics.inbound_messages


def lanes(runtime: Runtime, job: Job, start: Start) -> Lanes:
    """The lanes of a role, reading another installation's load, writing into their own."""
    settings, topics, source = runtime.settings, runtime.topics, source_of(job)
    sources = [source]
    make: Callable[[int], Stage]
    match job.role:
        case "passthrough":

            def make(partition: int) -> Stage:
                return Passthrough(topics.allowed_sends)

        case "match" | "one_service" | "many_services":
            sources.append(topics.consent_commands)

            def make(partition: int) -> Stage:
                return MatchInbound(
                    partition,
                    partitions=settings.partitions,
                    topics=replace(topics, inbound_messages=source),
                    scope=settings.block_scope,
                    store=MeasuredBlockList(runtime.store, runtime.metrics, "match"),
                    block_list=runtime.truth(),
                    services=runtime.services,
                    cloud_events=runtime.cloud_events,
                    counts=runtime.counts,
                    metrics=MatchMetrics(runtime.metrics),
                    traces=Traces(),
                    handled=runtime.handled,
                )

        case "gate":
            listed = settings.model_copy(update={"topic_prefix": job.source_prefix})
            store = block_list_store(listed, runtime.redis)
            block_list = runtime.truth(Topics.under(job.source_prefix).block_list)

            def make(partition: int) -> Stage:
                return GateOutbound(
                    partition,
                    partitions=settings.partitions,
                    topics=replace(topics, outbound_messages=source),
                    store=MeasuredBlockList(store, runtime.metrics, "gate"),
                    block_list=block_list,
                    services=runtime.services,
                    accounts=runtime.accounts,
                    cloud_events=runtime.cloud_events,
                    metrics=GateMetrics(runtime.metrics),
                    traces=Traces(),
                )

        case "faust":
            raise ValueError("Faust has no lanes")
    return Lanes(
        settings,
        group=f"{settings.topic_prefix}{job.role}",
        topics=sources,
        outputs=[],
        stage=lambda partition: Held(partition, make(partition), start),
        metrics=LaneMetrics(runtime.metrics, job.role),
    )
