"""OpenTelemetry spans of records that carry a sampled ``traceparent``; the extra ``tracing``.

A record without one costs nothing. A span lasts from the start of its batch to the commit; what is
not committed is not told.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.semconv._incubating.attributes import messaging_attributes as messaging
from opentelemetry.trace import (
    Span,
    SpanKind,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from processor.stages.tracing import Traces
from processor.wire.headers import TRACEPARENT

_PROPAGATOR = TraceContextTextMapPropagator()


def provider() -> TracerProvider:
    """Spans to the collector that OpenTelemetry's own variables (``OTEL_…``) name."""
    name = os.environ.get("OTEL_SERVICE_NAME", "optout")
    made = TracerProvider(resource=Resource.create({"service.name": name}))
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return made


class Spans(Traces):
    """The spans of one partition's stage.

    Args:
        tracer: makes them.
        group: the consumer group that reads.
    """

    def __init__(self, tracer: Tracer, group: str) -> None:
        self._tracer = tracer
        self._group = group
        self._open: list[Span] = []
        self._began_ns = 0

    def begin(self) -> None:
        """See ``Traces``."""
        self._open, self._began_ns = [], time.time_ns()

    def headers(self, record: Any, **said: str) -> list[tuple[str, bytes | None]] | None:
        """As ``Traces`` does, with the span as the parent of what comes next."""
        passed = super().headers(record, **said)
        if passed is None or all(name != TRACEPARENT for name, _ in passed):
            return passed
        given = {name: (value or b"").decode(errors="replace") for name, value in passed}
        context = _PROPAGATOR.extract(given)
        if not get_current_span(context).get_span_context().trace_flags.sampled:
            return passed
        span = self._tracer.start_span(
            f"process {record.topic}",
            context,
            SpanKind.CONSUMER,
            attributes={
                messaging.MESSAGING_SYSTEM: messaging.MessagingSystemValues.KAFKA.value,
                messaging.MESSAGING_OPERATION_NAME: "process",
                messaging.MESSAGING_OPERATION_TYPE: (
                    messaging.MessagingOperationTypeValues.PROCESS.value
                ),
                messaging.MESSAGING_DESTINATION_NAME: record.topic,
                messaging.MESSAGING_DESTINATION_PARTITION_ID: str(record.partition),
                messaging.MESSAGING_KAFKA_OFFSET: record.offset,
                messaging.MESSAGING_CONSUMER_GROUP_NAME: self._group,
                **{f"optout.{name}": value for name, value in said.items()},
            },
            start_time=self._began_ns,
        )
        self._open.append(span)
        mine: dict[str, str] = {}
        _PROPAGATOR.inject(mine, set_span_in_context(span))
        return [
            *((name, value) for name, value in passed if name not in mine),
            *((name, value.encode()) for name, value in mine.items()),
        ]

    @contextmanager
    def request(self, record: Any) -> Iterator[Mapping[str, str]]:
        """As ``Traces`` does, with a span that lasts as long as the request."""
        given = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
        context = _PROPAGATOR.extract(given)
        if not get_current_span(context).get_span_context().trace_flags.sampled:
            yield {}
            return
        span = self._tracer.start_span("webhook", context, SpanKind.CLIENT)
        mine: dict[str, str] = {}
        _PROPAGATOR.inject(mine, set_span_in_context(span))
        try:
            yield mine
        finally:
            span.end()

    def committed(self) -> None:
        """See ``Traces``."""
        for span in self._open:
            span.end()
        self._open = []
