"""Match lanes of all partitions over a list in memory; each gets the records sent on to it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import orjson

from processor.core.messages import ConsentCommand, PersonCommand, Scope
from processor.core.partitions import partition_of
from processor.core.services import Service
from processor.kafka.fetched import FetchedRecord
from processor.kafka.writing import Outgoing
from processor.metrics import MatchMetrics, Metrics
from processor.stages.match_inbound import MatchDependencies, MatchInbound
from processor.stages.tracing import Traces
from processor.stores.memory import MemoryBlockList
from processor.wire import consent_commands
from processor.wire.cloud_events import CloudEvents
from processor.wire.headers import FIRST_APPEND
from processor.wire.records import Header
from processor.wire.topics import Topics
from tests.builders import NOW_MS, WHATSAPP_SENDER, inbound_record
from tests.one_lane import EmptyList, Kept, NothingHandled, Services

TOPICS = Topics.under("")
PARTITIONS = 8
SOURCES = (TOPICS.inbound_messages, TOPICS.consent_commands)


def _late(first_ms: int | None) -> list[Header]:
    return [] if first_ms is None else [(FIRST_APPEND, str(first_ms).encode())]


class MatchLanes:
    """Records are worked on one by one, in the order in which they were written.

    Args:
        services: of the configuration.
    """

    def __init__(self, services: Iterable[Service] = ()) -> None:
        self.store = MemoryBlockList(lambda: NOW_MS)
        self.out: list[Outgoing] = []  # of all lanes, in order
        self.now_ms = NOW_MS
        self._services = Services(services)
        self._stages: dict[int, MatchInbound] = {}
        self._waiting: deque[FetchedRecord] = deque()
        self._offsets: dict[tuple[str, int], int] = defaultdict(int)
        self.counts: dict[str, int] = defaultdict(int)

    def of(self, topic: str) -> list[Any]:
        """The values of a topic."""
        return [orjson.loads(one.value or b"null") for one in self.out if one.topic == topic]

    def write(self, topic: str, key: str, value: bytes, headers: Any = ()) -> FetchedRecord:
        """Append a record to the partition of its key."""
        place = topic, partition_of(key.encode(), PARTITIONS)
        self._offsets[place] += 1
        self.now_ms += 1
        record = FetchedRecord(
            *place, self._offsets[place], self.now_ms, 1, key.encode(), value, tuple(headers)
        )
        self._waiting.append(record)
        return record

    def text(
        self, body: str, from_: str, *, first_ms: int | None = None, **fields: Any
    ) -> FetchedRecord:
        """Append a message on WhatsApp; it may be late, as its first append time says."""
        said = {"message_sid": f"SM{self.now_ms}", "to": WHATSAPP_SENDER} | fields
        value = orjson.dumps(inbound_record(body, **said, **{"from": f"whatsapp:{from_}"}))
        return self.write(TOPICS.inbound_messages, from_, value, _late(first_ms))

    def command(
        self, command: ConsentCommand | PersonCommand, first_ms: int | None = None
    ) -> FetchedRecord:
        """Append a command; it may be late, too."""
        key, value = consent_commands.key_of(command), consent_commands.checked(command)
        return self.write(TOPICS.consent_commands, key, value, _late(first_ms))

    async def step(self) -> bool:
        """Work on the next record; whether there was one."""
        if not self._waiting:
            return False
        record = self._waiting.popleft()
        stage, out = await self.stage(record.partition), Kept()
        batch = await stage.process([record], out)
        assert await batch.still_holds()
        await batch.committed()
        for name, count in out.counts.items():
            self.counts[name] += count
        for one in out.put_out:
            self.out.append(one)
            if one.topic in SOURCES:
                self.write(one.topic, (one.key or b"").decode(), one.value or b"", one.headers)
        return True

    async def settle(self) -> None:
        """Work until nothing is left."""
        while await self.step():
            pass

    async def stage(self, partition: int) -> MatchInbound:
        """The lane of a partition."""
        if partition not in self._stages:
            self._stages[partition] = MatchInbound(partition, self._needs())
            await self.take(partition)
        return self._stages[partition]

    async def take(self, partition: int) -> None:
        """Let the lane's partition have a new owner."""
        stage = self._stages[partition]
        await stage.claim()
        await stage.inherit(())
        await stage.recover({})

    def _needs(self) -> MatchDependencies:
        fakes: Any = SimpleNamespace(
            services=self._services,
            block_list=EmptyList(),
            handled=NothingHandled(),
            counts=SimpleNamespace(add=[].append),
        )
        return MatchDependencies(
            partitions=PARTITIONS,
            topics=TOPICS,
            scope=Scope.ACCOUNT,
            store=self.store,
            block_list=fakes.block_list,
            services=fakes.services,
            cloud_events=CloudEvents("urn:test"),
            counts=fakes.counts,
            metrics=MatchMetrics(Metrics()),
            traces=Traces(),
            handled=fakes.handled,
        )
