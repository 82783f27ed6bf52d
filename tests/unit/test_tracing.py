"""When a worker makes spans, and what it says where it cannot."""

from __future__ import annotations

import sys

import pytest

from processor.config import Settings
from processor.errors import ConfigError
from processor.worker.tracing import tracer_provider

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def test_without_a_collector_there_are_no_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENDPOINT, raising=False)
    assert tracer_provider(Settings()) is None


def test_spans_can_be_turned_off_where_there_is_a_collector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:4318")
    assert tracer_provider(Settings(tracing=False)) is None


def test_spans_that_are_asked_for_need_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "processor.stages.spans", None)
    with pytest.raises(ConfigError, match=r"pip install 'optout\[tracing\]'"):
        tracer_provider(Settings(tracing=True))


def test_a_collector_named_for_others_stops_no_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "processor.stages.spans", None)
    assert tracer_provider(Settings()) is None
    assert [record.message for record in caplog.records] == ["tracing.off"]
