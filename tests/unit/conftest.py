"""Fixtures that several files of unit tests share."""

from __future__ import annotations

import pytest

from processor.core import identity
from processor.kafka import checksum, copying, fetched
from processor.metrics import GateMetrics, LaneLook, LaneMetrics, MatchMetrics, Metrics
from processor.stores.measured_block_list import MeasuredBlockList
from processor.stores.memory import MemoryBlockList
from processor.wire import screening, texts


@pytest.fixture(params=["native", "pure"])
def readers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled readers, then those in Python: tests hold both."""
    if request.param == "pure":
        monkeypatch.setattr(fetched, "native", None)
        monkeypatch.setattr(screening, "native", None)
        monkeypatch.setattr(copying, "native", None)
        monkeypatch.setattr(checksum, "native", None)
        monkeypatch.setattr(identity, "native", None)
        monkeypatch.setattr(texts, "native", None)
    elif not screening.is_native():
        pytest.skip("no C compiler built the native readers")


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
