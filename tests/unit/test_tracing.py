"""When a worker makes spans, and its warnings when it cannot."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from processor.config import Settings
from processor.errors import ConfigError
from processor.stages.spans import Spans
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


def test_only_the_spans_of_a_committed_batch_are_exported() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = Spans(provider.get_tracer("test"), "match")
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    record: Any = SimpleNamespace(
        topic="inbound-messages",
        partition=0,
        offset=7,
        headers=[("traceparent", parent.encode()), ("x", b"1")],
    )
    dropped, batch = spans.begin(), spans.begin()
    for one in (dropped, batch):
        passed = dict(one.headers(record, opt_out_type="STOP") or ())
        assert passed["x"] == b"1"
        trace_id, span_id = (passed["traceparent"] or b"").decode().split("-")[1:3]
        assert (trace_id, span_id != "b" * 16) == ("a" * 32, True)
    assert exporter.get_finished_spans() == ()
    batch.committed()
    [span] = exporter.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes["optout.opt_out_type"] == "STOP"
    assert span.context is not None
    assert f"{span.context.span_id:016x}" == span_id
