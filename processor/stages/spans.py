"""OpenTelemetry spans of records that carry a sampled ``traceparent``; the extra ``tracing``.

A record without one costs nothing. A span lasts from the start of its batch to the commit; a batch
that is not committed has none.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from dataclasses import replace

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.semconv._incubating.attributes import messaging_attributes as messaging
from opentelemetry.semconv.attributes import http_attributes as http
from opentelemetry.semconv.attributes import server_attributes as server
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import (
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from processor.stages.tracing import Ask, BatchTraces, Outcome, Traces
from processor.webhooks.addresses import host_and_port
from processor.webhooks.requests import Request
from processor.webhooks.retries import Failure
from processor.wire.headers import TRACEPARENT
from processor.wire.records import Record

_PROPAGATOR = TraceContextTextMapPropagator()


def provider() -> TracerProvider:
    """Export spans to the collector that OpenTelemetry's variables (``OTEL_…``) name."""
    name = os.environ.get("OTEL_SERVICE_NAME", "optout")
    made = TracerProvider(resource=Resource.create({"service.name": name}))
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return made


class _BatchSpans(BatchTraces):
    """The spans of one batch; those of a batch that is not committed never end."""

    def __init__(self, tracer: Tracer, group: str) -> None:
        self._tracer = tracer
        self._group = group
        self._open: list[Span] = []
        self._began_ns = time.time_ns()

    def headers(self, record: Record, **said: str) -> list[tuple[str, bytes | None]] | None:
        """As ``BatchTraces`` does, with the span as the parent of what comes next."""
        passed = super().headers(record, **said)
        if passed is None or all(name != TRACEPARENT for name, _ in passed):
            return passed
        context = _context_of(passed)
        if context is None:
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

    def committed(self) -> None:
        """See ``BatchTraces``."""
        for span in self._open:
            span.end()


class Spans(Traces):
    """The spans of a role's stages.

    Args:
        tracer: makes the spans.
        group: the consumer group of the reader.
    """

    def __init__(self, tracer: Tracer, group: str) -> None:
        self._tracer = tracer
        self._group = group

    def begin(self) -> BatchTraces:
        """See ``Traces``."""
        return _BatchSpans(self._tracer, self._group)

    async def ask(self, record: Record, attempt: int, request: Request, ask: Ask) -> Outcome:
        """Like ``Traces``, with a span that lasts as long as the request.

        Every attempt is a child of the span that requested the delivery, possibly hours later. A
        later attempt has its number, as OpenTelemetry's conventions for retries demand.
        """
        context = _context_of(record.headers)
        if context is None:
            return await ask(request)
        span = self._tracer.start_span(
            "webhook", context, SpanKind.CLIENT, attributes=_attributes(request, attempt)
        )
        mine: dict[str, str] = {}
        _PROPAGATOR.inject(mine, set_span_in_context(span))
        try:
            outcome = await ask(replace(request, headers={**request.headers, **mine}))
            _tell(span, outcome)
        except asyncio.CancelledError:
            _fail(span, "cancelled")  # the worker gives up the lane; another worker retries
            raise
        finally:
            span.end()
        return outcome


def _context_of(headers: Iterable[tuple[str, bytes | None]]) -> Context | None:
    """The trace that a record's headers name, None if it is not sampled."""
    given = {name: (value or b"").decode(errors="replace") for name, value in headers}
    context = _PROPAGATOR.extract(given)
    sampled = get_current_span(context).get_span_context().trace_flags.sampled
    return context if sampled else None


def _attributes(request: Request, attempt: int) -> dict[str, str | int]:
    """Attributes known before the request; path and query may contain a recipient's number."""
    host, port = host_and_port(request.url)
    return {
        http.HTTP_REQUEST_METHOD: request.method,
        server.SERVER_ADDRESS: host,
        server.SERVER_PORT: port,
        **({http.HTTP_REQUEST_RESEND_COUNT: attempt - 1} if attempt > 1 else {}),
    }


def _tell(span: Span, outcome: Outcome) -> None:
    if outcome.status is not None:
        span.set_attribute(http.HTTP_RESPONSE_STATUS_CODE, outcome.status)
    if isinstance(outcome, Failure):
        _fail(span, str(outcome.status or outcome.why), outcome.reason)


def _fail(span: Span, kind: str, reason: str | None = None) -> None:
    span.set_attribute(ERROR_TYPE, kind)
    span.set_status(StatusCode.ERROR, reason)
