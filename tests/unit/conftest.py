"""Fixtures that several files of unit tests share."""

from __future__ import annotations

import pytest

from processor.metrics import GateMetrics, LaneLook, LaneMetrics, MatchMetrics, Metrics
from processor.stores.measured_block_list import MeasuredBlockList
from processor.stores.memory import MemoryBlockList


@pytest.fixture(scope="session")
def exposed() -> dict[str, set[str]]:
    """The names of all samples of a worker with all roles, each with its labels."""
    metrics = Metrics(lambda: [LaneLook("match", 0, True, 0)])
    metrics.webhook_results = {"delivered": 0}
    MatchMetrics(metrics)
    GateMetrics(metrics)
    for role in ("match", "gate", "carriers"):
        LaneMetrics(metrics, role)
        MeasuredBlockList(MemoryBlockList(lambda: 0), metrics, role)
    for counter in (metrics.carrier_requests, metrics.carrier_events, metrics.carrier_sends):
        counter.labels("twilio-1", "sent")
    samples: dict[str, set[str]] = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            samples.setdefault(sample.name, set()).update(sample.labels)
    return samples
