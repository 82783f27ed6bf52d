"""A gate of one partition, over a list in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from processor.core.blocks import Mark
from processor.core.services import Service
from processor.kafka.fetched import FetchedRecord
from processor.metrics import GateMetrics, Metrics
from processor.stages.accounts import AllActive
from processor.stages.gate_outbound import GateDependencies, GateOutbound
from processor.stages.tracing import Traces
from processor.stores.memory import MemoryBlockList
from processor.wire.cloud_events import CloudEvents
from processor.wire.topics import Topics
from tests.builders import NOW_MS, RECIPIENT, outbound_record
from tests.one_lane import TOPIC_ID, EmptyList, Services

TOPICS = Topics.under("")


def a_record(to: str = RECIPIENT, **changes: Any) -> Any:
    value = json.dumps(outbound_record(to=to, **{"media_urls": None} | changes)).encode()
    return FetchedRecord(TOPICS.outbound_messages, 0, 7, NOW_MS, 0, to.encode(), value, ())


async def a_gate(
    store: MemoryBlockList,
    metrics: Metrics,
    services: Iterable[Service] = (),
    counted: list[Any] | None = None,
    *,
    partition: int = 0,
    partitions: int = 1,
) -> GateOutbound:
    """A gate that knows which list to trust; its partition has an owner."""
    counts: Any = SimpleNamespace(add=[].append if counted is None else counted.append)
    known: Any = Services(services)
    needs = GateDependencies(
        partitions=partitions,
        topics=TOPICS,
        store=store,
        block_list=EmptyList(),
        services=known,
        accounts=AllActive(),
        cloud_events=CloudEvents("urn:test"),
        counts=counts,
        metrics=GateMetrics(metrics),
        traces=Traces(),
    )
    gate = GateOutbound(partition, needs)
    epoch = (await store.claim(partition, at_least=0)).epoch
    await store.begin_rebuild(partition, epoch)
    await store.finish_rebuild(
        partition, epoch, mark=Mark(epoch, 2), ready=TOPIC_ID, partitions=partitions
    )
    await gate.recover({})
    return gate
