"""A message's trace goes on through everything it causes, to the webhook."""

from __future__ import annotations

import signal

import orjson
from aiohttp import web
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from processor.config import Settings
from processor.kafka.writing import Outgoing
from tests.application import OneToken, Told, allowing, application, status
from tests.builders import RECIPIENT
from tests.clinic import CLINIC, a_send, a_text, configure
from tests.installation import Installation, running, until
from tests.processes import OPTOUT, a_port, environment, started

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{PARENT}-01".encode()
NOT_SAMPLED = f"00-{TRACE}-{PARENT}-00".encode()
TOLD = CLINIC | {"inbound_request_url": "https://example.com/inbound"}


def caused_by(at: Installation) -> tuple[str, ...]:
    topics = at.topics
    return (
        topics.reply_sends,
        topics.block_changes,
        topics.opt_out_notifications,
        topics.webhook_deliveries,
    )


def record(topic: str, value: dict[str, object], *headers: tuple[str, bytes]) -> Outgoing:
    return Outgoing(topic, RECIPIENT.encode(), orjson.dumps(value), headers)


async def test_headers_of_a_message_go_on_to_all_it_causes_but_not_those_that_describe_it(
    settings: Settings,
) -> None:
    at = Installation(settings)
    await configure(settings, TOLD)
    given = [("traceparent", SAMPLED), ("tenant", b"7"), ("ce_id", b"M1"), ("content-type", b"x")]
    async with running(settings):
        await at.write_raw(record(at.topics.inbound_messages, a_text("M1", "halt"), *given))
        await at.texts(a_text("M2", "start"))
        await at.wait_for(at.topics.webhook_deliveries, 2)
    for topic in caused_by(at):
        first, second = await at.records(topic)
        own = len(second.headers)  # the headers that make it an event
        assert list(first.headers[:-own]) == given[:2], topic
        assert ("ce_id", b"M1") not in first.headers


def by_topic(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans.get_finished_spans()}


async def test_a_sampled_message_has_a_span_that_is_the_parent_of_what_it_causes(
    settings: Settings,
) -> None:
    at, spans, provider = Installation(settings), InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    await configure(settings, TOLD)
    inbound, outbound = at.topics.inbound_messages, at.topics.outbound_messages
    async with running(settings, provider=provider):
        await at.write_raw(record(inbound, a_text("M1", "halt"), ("traceparent", SAMPLED)))
        await at.write_raw(record(inbound, a_text("M2", "start"), ("traceparent", NOT_SAMPLED)))
        await at.write_raw(record(inbound, a_text("M3", "halt"), ("traceparent", b"not one")))
        await at.wait_for(at.topics.webhook_deliveries, 3)
        await at.write_raw(record(outbound, a_send("S1"), ("traceparent", SAMPLED)))
        [failed] = await at.wait_for(at.topics.message_statuses, 1)

        async def ended() -> bool:
            return len(spans.get_finished_spans()) == 2

        await until(ended, "two spans")
    matched, judged = (by_topic(spans)[f"process {topic}"] for topic in (inbound, outbound))
    for span in (matched, judged):
        assert span.parent is not None
        assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    [first, *_] = await at.records(inbound)
    assert dict(matched.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": inbound,
        "messaging.destination.partition.id": str(first.partition),
        "messaging.kafka.offset": 0,
        "messaging.consumer.group.name": f"{settings.topic_prefix}match",
        "optout.opt_out_type": "STOP",
    }
    assert (judged.attributes or {})["optout.verdict"] == "refused"
    for topic in caused_by(at):
        heads = [dict(one.headers).get("traceparent") for one in await at.records(topic)]
        assert heads == [f"00-{TRACE}-{id_of(matched)}-01".encode(), NOT_SAMPLED, b"not one"], topic
    [status] = await at.records(at.topics.message_statuses)
    assert failed["message_sid"] == "S1"
    assert dict(status.headers)["traceparent"] == f"00-{TRACE}-{id_of(judged)}-01".encode()


def id_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


async def test_a_request_to_an_application_has_a_span_and_tells_of_it(settings: Settings) -> None:
    at, spans, provider = Installation(allowing(settings)), InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    async with application() as app:
        await configure(settings, CLINIC | {"inbound_request_url": app.url("/inbound")})
        async with running(at.settings, provider=provider, tokens=OneToken()):
            inbound = at.topics.inbound_messages
            for sid, header in (("M1", SAMPLED), ("M2", NOT_SAMPLED), ("M3", b"a\r\nb: c")):
                await at.write_raw(record(inbound, a_text(sid, "hello"), ("traceparent", header)))

            async def told() -> bool:
                return len(app.told) == 3 and len(spans.get_finished_spans()) == 2

            await until(told, "three requests, and the spans of the first")
    matched, asked = (by_topic(spans)[name] for name in (f"process {inbound}", "webhook"))
    assert asked.parent is not None
    assert f"{asked.parent.span_id:016x}" == id_of(matched)
    heads = {one.message_sid: one.headers.get("traceparent") for one in app.told}
    assert heads == {"M1": f"00-{TRACE}-{id_of(asked)}-01", "M2": None, "M3": None}


async def test_each_attempt_of_a_request_has_a_span_that_says_which_it_was_and_what_it_came_to(
    settings: Settings,
) -> None:
    at, spans, provider = Installation(allowing(settings)), InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    answers = [status(503), status(302), status(200)]

    async def answer(told: Told) -> web.Response:
        return await answers.pop(0)(told)

    def asked() -> list[ReadableSpan]:
        return [span for span in spans.get_finished_spans() if span.name == "webhook"]

    async with application() as app:
        app.answers["/inbound"] = answer
        url = app.url("/inbound?secret=1").replace("//", "//user:word@")
        told = {"inbound_request_url": url, "inbound_method": "GET"}
        await configure(settings, CLINIC | told)
        async with running(at.settings, provider=provider, tokens=OneToken()):
            sent = ("traceparent", SAMPLED)
            await at.write_raw(record(at.topics.inbound_messages, a_text("M1", "hello"), sent))

            async def done() -> bool:
                return len(asked()) == 3

            await until(done, "three attempts")
    matched = by_topic(spans)[f"process {at.topics.inbound_messages}"]
    known = {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": app.port,
    }
    assert [dict(span.attributes or {}) for span in asked()] == [
        known | {"http.response.status_code": 503, "error.type": "503"},
        known
        | {"http.response.status_code": 302, "error.type": "302", "http.request.resend_count": 1},
        known | {"http.response.status_code": 200, "http.request.resend_count": 2},
    ]
    failed, unset = StatusCode.ERROR, StatusCode.UNSET
    assert [span.status.status_code for span in asked()] == [failed, failed, unset]
    for span in asked():
        assert span.parent is not None
        assert f"{span.parent.span_id:016x}" == id_of(matched)  # the span that caused all three
    heads = [one.headers["traceparent"] for one in app.told]
    assert heads == [f"00-{TRACE}-{id_of(span)}-01" for span in asked()]


async def test_a_request_that_nobody_answered_has_a_span_that_says_why(settings: Settings) -> None:
    at, spans, provider = Installation(allowing(settings)), InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    closed = f"http://127.0.0.1:{a_port()}/#rc=0"  # not tried again
    await configure(settings, CLINIC | {"inbound_request_url": closed})
    async with running(at.settings, provider=provider, tokens=OneToken()):
        sent = ("traceparent", SAMPLED)
        await at.write_raw(record(at.topics.inbound_messages, a_text("M1", "hello"), sent))
        await at.wait_for_letters(1)
    span = by_topic(spans)["webhook"]
    assert (span.attributes or {})["error.type"] == "ct"
    assert span.status.status_code is StatusCode.ERROR
    assert "http.response.status_code" not in (span.attributes or {})


async def test_a_worker_sends_its_spans_to_the_collector_it_is_told_of(settings: Settings) -> None:
    at, received = Installation(settings), []

    async def take(request: web.Request) -> web.Response:
        received.append(await request.read())
        return web.Response()

    collector = web.Application()
    collector.router.add_post("/v1/traces", take)
    runner = web.AppRunner(collector)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    mine = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{runner.addresses[0][1]}"}
    try:
        async with started(OPTOUT, **environment(settings), **mine) as worker:
            sent = ("traceparent", SAMPLED)
            await at.write_raw(record(at.topics.outbound_messages, a_send("S1"), sent))
            await at.wait_for(at.topics.allowed_sends, 1)
            assert await worker.ends(signal.SIGTERM) == 0
        assert "Traceback" not in worker.said
    finally:
        await runner.cleanup()
    [allowed] = await at.records(at.topics.allowed_sends)
    assert dict(allowed.headers)["traceparent"] == SAMPLED
    told = b"".join(received)
    assert f"process {at.topics.outbound_messages}".encode() in told
    assert bytes.fromhex(TRACE) in told
    for personal in (RECIPIENT, "appointment"):
        assert personal.encode() not in told
