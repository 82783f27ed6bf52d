"""The audit follows webhooks on real topics: tries, dead letters, redrives, a lost delivery."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
from aiohttp import web
from aiokafka import TopicPartition

from processor.audit import Options, audit
from processor.config import Settings
from processor.core.partitions import partition_of
from processor.errors import BrokerUnavailable
from processor.kafka.groups import group_view
from processor.kafka.writing import Outgoing
from schemas.webhooks_made import WebhooksMade
from tests.application import (
    Application,
    OneToken,
    Told,
    a_service,
    allowing,
    application,
    nothing,
    status,
    told_at,
)
from tests.builders import RECIPIENT
from tests.clinic import a_send, a_text, configure
from tests.deliveries import a_delivery
from tests.installation import Installation, measured, running
from tests.integration.conftest import Command

KEY = RECIPIENT.encode()


async def tries(at: Installation, app: Application, optout: Command) -> None:
    """A message and a status arrive, another message only after its dead letter was sent back."""
    app.answers["/broken"] = status(500)
    await configure(at.settings, a_service(app))
    async with running(at.settings, tokens=OneToken()) as runtime:
        await runtime.shared.services.wait_loaded()
        await at.texts(a_text("M1", "hello"))
        await at.sends(a_send("S1"))
        await told_at(app, "/inbound", 1)
        app.answers["/inbound"] = status(500)
        await at.texts(a_text("M2", "stop"))
        await at.wait_for_letters(1)
        await at.sends(a_send("S2", status_callback=app.url("/status")))
        await told_at(app, "/status", 1)
        del app.answers["/inbound"]
        await optout("dead-letters", "redrive", "--all")
        await told_at(app, "/inbound", 5)
        await at.wait_for_no_lag("match", "gate", "webhooks")


async def test_tries_are_followed_to_their_end_and_what_is_passed_by_is_named(
    settings: Settings, optout: Command, tmp_path: Path
) -> None:
    at = Installation(allowing(settings, webhook_attempts=3, webhook_circuit_failures=100))
    async with application() as app:
        await tries(at, app, optout)
    first = await audit(at.settings, Options(tmp_path))
    assert first.violations == ()
    assert first.counts["tries_checked"] == 1 + 3 + 1 + 1  # M1; M2, and sent back; S2
    assert first.counts["deliveries_waiting"] == 0
    for note in await at.records(at.topics.webhooks_made):
        assert WebhooksMade.model_validate_json(note.value or b"").made
    assert (await audit(at.settings, Options(tmp_path))).violations == ()
    await passed_by(at)
    for options in (Options(tmp_path), Options()):
        found = await audit(at.settings, options)
        [one] = found.violations
        assert (one.kind, one.where.rpartition(" ")[2]) == ("lost", "M3")
        assert RECIPIENT not in one.where + one.what


async def test_a_trace_that_cannot_be_written_is_written_with_the_next_commit(
    settings: Settings,
) -> None:
    at = Installation(allowing(settings))
    refused = asyncio.Event()

    def at_step(step: str) -> None:
        if step == "tracing" and not refused.is_set():
            refused.set()
            raise BrokerUnavailable("Kafka: no answer")

    async def after_that(asked: Told) -> web.Response:
        if asked.message_sid == "M2":
            await refused.wait()
        return await nothing(asked)

    async with application() as app:
        app.answers["/inbound"] = after_that
        await configure(at.settings, a_service(app))
        async with running(at.settings, at_step, tokens=OneToken()) as runtime:
            await runtime.shared.services.wait_loaded()
            await at.texts(a_text("M1", "hello"), a_text("M2", "are you open?"))
            await told_at(app, "/inbound", 2)
            await at.wait_for_no_lag("match", "webhooks")
            await measured(runtime, "optout_webhook_results_total", 2, result="delivered")
    found = await audit(at.settings, Options())
    assert (found.violations, found.counts["tries_checked"]) == ((), 2)


async def passed_by(at: Installation) -> None:
    """Write a delivery, and commit it for the group without a request."""
    topic, value = at.topics.webhook_deliveries, orjson.loads(a_delivery(message_sid="M3"))
    headers = [("optout.redrives", b"1")]  # no message asks for it
    await at.write_raw(Outgoing(topic, KEY, orjson.dumps(value), headers))
    tp = TopicPartition(topic, partition_of(KEY, at.settings.partitions))
    async with group_view(at.settings, f"{at.settings.topic_prefix}webhooks") as group:
        group.assign([tp])
        await group.commit({tp: (await group.end_offsets([tp]))[tp]})
