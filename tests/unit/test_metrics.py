"""The values of metrics, also before anything has happened."""

from __future__ import annotations

import pytest

from processor.errors import BrokerUnavailable, Fenced, StoreUnavailable, TooManyFaults
from processor.metrics import LaneLook, LaneMetrics, MatchMetrics, Metrics, StoreMetrics
from processor.stores.measured_block_list import MeasuredBlockList
from processor.stores.memory import MemoryBlockList


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_what_has_not_happened_yet_is_zero_and_not_absent() -> None:
    metrics = Metrics()
    LaneMetrics(metrics, "gate")
    assert value(metrics, "optout_verdicts_total", verdict="refused") == 0
    assert value(metrics, "optout_matches_total", kind="STOP", tier="tolerant") == 0
    assert value(metrics, "optout_braked_replies_total", kind="HELP") == 0
    assert value(metrics, "optout_gate_waiting_seconds_total", reason="lost_writes") == 0
    assert value(metrics, "optout_lane_failures_total", role="gate", reason="Fenced") == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Fenced("x"), "Fenced"),
        (BrokerUnavailable("x"), "BrokerUnavailable"),
        (TooManyFaults("x"), "TooManyFaults"),
        (KeyError("+15557654321"), "Unexpected"),
    ],
)
def test_a_lane_that_gave_up_is_counted_by_a_reason_of_few(error: Exception, reason: str) -> None:
    metrics = Metrics()
    LaneMetrics(metrics, "match").failed(error)
    assert value(metrics, "optout_lane_failures_total", role="match", reason=reason) == 1


def test_a_batch_counts_its_records_and_its_dead_letters() -> None:
    metrics = Metrics()
    lanes = LaneMetrics(metrics, "match")
    lanes.batch(500, {"refused": 2, "misplaced": 1})
    lanes.batch(1, {})
    assert value(metrics, "optout_messages_total", role="match") == 501
    assert value(metrics, "optout_dead_letters_total", role="match") == 2
    assert value(metrics, "optout_misplaced_total", role="match") == 1
    assert value(metrics, "optout_unread_stops_total", role="match") == 0
    assert value(metrics, "optout_batch_records_bucket", role="match", le="1.0") == 1
    assert value(metrics, "optout_batch_records_count", role="match") == 2


def test_lanes_and_services_are_looked_at_when_the_metrics_are_read() -> None:
    looks = [LaneLook("gate", 3, False, 12)]
    metrics = Metrics(lambda: looks, lambda: 7)
    place = {"role": "gate", "partition": "3"}
    assert value(metrics, "optout_lane_works", **place) == 0
    assert value(metrics, "optout_lag_records", **place) == 12
    assert value(metrics, "optout_services") == 7
    looks[:] = [LaneLook("gate", 3, True, None)]
    assert value(metrics, "optout_lane_works", **place) == 1
    assert value(metrics, "optout_lag_records", **place) is None


def test_what_became_of_webhooks_is_read_off_whoever_counts_it() -> None:
    metrics = Metrics()
    metrics.webhook_results = {"delivered": 5, "failed.timeout": 1}
    assert value(metrics, "optout_webhook_results_total", result="delivered") == 5
    assert value(metrics, "optout_webhook_results_total", result="failed.timeout") == 1


def test_an_opt_out_whose_append_is_said_to_lie_ahead_took_no_time() -> None:
    metrics = Metrics()
    MatchMetrics(metrics).effective([-3.0, 0.5])
    assert value(metrics, "optout_stop_effective_seconds_sum") == 0.5
    assert value(metrics, "optout_stop_effective_seconds_count") == 2


async def test_round_trips_are_timed_and_what_failed_is_counted() -> None:
    metrics = Metrics()
    store = MeasuredBlockList(MemoryBlockList(lambda: 0), metrics, "gate")
    await store.read(0, ["+15557654321"])
    trip = {"role": "gate", "operation": "read"}
    assert value(metrics, "optout_redis_seconds_count", **trip) == 1
    assert value(metrics, "optout_redis_errors_total", **trip) == 0


def test_an_error_that_is_not_redis_is_not_counted_as_one() -> None:
    metrics = Metrics()
    asked = StoreMetrics(metrics, "match", ["write"]).asked
    asked("write", 0.1, Fenced("x"))
    asked("write", 5.0, StoreUnavailable("x"))
    trip = {"role": "match", "operation": "write"}
    assert value(metrics, "optout_redis_errors_total", **trip) == 1
    assert value(metrics, "optout_redis_seconds_count", **trip) == 2
