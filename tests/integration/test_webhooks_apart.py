"""An application or a record that harms its own webhooks does not harm any other's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from aiohttp import web

from processor.config import Settings
from processor.kafka.lanes import group_offsets
from processor.kafka.writing import Outgoing, writer
from processor.stages.deliver_webhooks import Delivery
from processor.wire import webhook_deliveries
from processor.wire.dead_letters import said
from schemas.message_status import MessageStatus
from tests.application import PATIENT, Application, Told, allowing, application, counted, status
from tests.builders import LONG_CODE, RECIPIENT
from tests.installation import Installation, running, until

KEY = RECIPIENT.encode()  # one partition, so records are read in the order of arrival


@dataclass
class Silent:
    """A server that accepts every connection and says nothing, at any address of this machine."""

    port: int = 0
    taken: int = 0
    most: int = 0

    def url(self, number: int) -> str:
        """URLs, each on another host."""
        return f"http://127.1.{number // 250}.{number % 250 + 1}:{self.port}/"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken += 1
        self.most = max(self.most, self.taken)
        with suppress(ConnectionError):
            while await reader.read(65_536):
                pass
        self.taken -= 1
        writer.close()


@asynccontextmanager
async def silent() -> AsyncIterator[Silent]:
    made = Silent()
    server = await asyncio.start_server(made.handle, "0.0.0.0", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


def a_status(sid: str, url: str, **changes: Any) -> dict[str, Any]:
    return {
        "message_sid": sid,
        "account_sid": "ACvictim",
        "to": RECIPIENT,
        "status": "delivered",
        "at": "2026-11-02T12:00:00.000Z",
        "status_callback": url,
    } | changes


def a_delivery(sid: str, url: str, **changes: Any) -> dict[str, Any]:
    return {
        "delivery_id": f"{sid}.delivered",
        "account_sid": "ACvictim",
        "message_sid": sid,
        "url": url,
        "parameters": {"MessageSid": sid, "To": RECIPIENT},
    } | changes


def said_of(letter: Any) -> tuple[str | None, str | None]:
    return said(letter.headers, "topic"), said(letter.headers, "exception.message")


async def others_are_told(
    at: Installation, app: Application, name: str, *, deadline_s: float = 60.0
) -> None:
    """Another account's application gets 20 statuses of the same partition, in order."""
    sids = [f"{name}{number}" for number in range(20)]
    await at.write(at.topics.message_statuses, *(a_status(sid, app.url("/ok")) for sid in sids))

    async def told() -> bool:
        return [one.message_sid for one in app.at("/ok") if one.message_sid in sids] == sids

    await until(told, "20 statuses of another account told", deadline_s)


async def test_many_silent_hosts_of_one_account_hold_nobody_else_up(settings: Settings) -> None:
    at = Installation(
        allowing(
            settings,
            "webhooks",
            webhook_account_concurrency=40,
            webhook_first_delay_s=60.0,
            webhook_longest_delay_s=60.0,
        ).model_copy(update=PATIENT)
    )
    async with application() as app, silent() as hosts:
        attack = (
            a_status(f"A{number}", hosts.url(number), account_sid="ACattacker")
            for number in range(1_500)
        )
        await at.write(at.topics.message_statuses, *attack)
        async with running(at.settings) as runtime:
            await others_are_told(at, app, "V")
            assert runtime.shared.webhook_counts["failed.rt"] == 0  # no request timed out meanwhile
            await at.wait_for(at.topics.webhook_retries_1, 1_000)
    assert hosts.most == 40


async def test_accounts_that_hang_together_leave_room_for_others(settings: Settings) -> None:
    mine = allowing(settings, "webhooks", webhook_worker_concurrency=8)
    at = Installation(mine.model_copy(update=PATIENT))
    async with application() as app, silent() as hosts:
        attack = (
            a_status(f"A{number}", hosts.url(number), account_sid=f"ACattacker{number % 5}")
            for number in range(100)
        )
        await at.write(at.topics.message_statuses, *attack)
        async with running(at.settings) as runtime:
            await others_are_told(at, app, "V")
            assert runtime.shared.webhook_counts["failed.rt"] == 0
    assert 4 <= hosts.most < 8


async def test_an_application_that_is_quick_and_has_too_much_to_do_holds_nobody_else_up(
    settings: Settings,
) -> None:
    changes = {"webhook_first_delay_s": 60.0, "webhook_longest_delay_s": 60.0}
    changes["session_timeout_s"] = 60.0  # a member that is dropped would make requests again
    at = Installation(allowing(settings, "webhooks", webhook_concurrency=2, **changes))

    async def soon(told: Told) -> web.Response:
        await asyncio.sleep(0.005)
        return web.Response()

    async with application() as app, running(at.settings):
        app.answers["/busy"] = soon
        await others_are_told(at, app, "V")
        crowd = (
            a_status(f"A{number}", app.url("/busy"), account_sid="ACbusy", to=f"+1555{number:07}")
            for number in range(6_000)
        )
        await at.write(at.topics.message_statuses, *crowd)
        await others_are_told(at, app, "W")
        sids = [one.message_sid for one in app.at("/busy")]
        assert len(set(sids)) == len(sids) < 6_000


async def test_what_a_dead_application_has_waiting_delays_no_others_retry(
    settings: Settings,
) -> None:
    at = Installation(allowing(settings, "webhooks", webhook_longest_delay_s=3600.0))
    async with application() as app:
        app.answers["/failing"] = status(500)
        dead = {"account_sid": "ACdead", "attempt": 12, "not_before": in_an_hour()}
        waiting = (
            Outgoing(at.topics.webhook_retries_4, KEY, orjson.dumps(one))
            for one in (a_delivery(f"D{n}", app.url("/dead"), **dead) for n in range(12_000))
        )
        await at.write_raw(*waiting)
        await group_offsets.begin(at.settings, "webhooks")  # as if its lanes had written them
        async with running(at.settings) as runtime:
            await at.write(at.topics.message_statuses, a_status("V", app.url("/failing")))

            async def tried_again() -> bool:
                return len(app.at("/failing")) >= 3

            await until(tried_again, "third try", 20.0)
            app.answers.clear()

            async def nothing_is_stuck() -> bool:
                return await runtime.lanes["webhooks"].stuck(0.0, redis_since=0.0) == []

            await until(nothing_is_stuck, "lane that only waits")
            assert runtime.unready() == []
        assert app.at("/dead") == []
    assert await at.lag("webhooks") >= 12_000  # none of it was begun


def in_an_hour() -> str:
    later = datetime.now(UTC) + timedelta(hours=1)
    return later.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def test_a_retry_waits_in_the_topic_of_its_delay(settings: Settings) -> None:
    delays = {"webhook_first_delay_s": 60.0, "webhook_longest_delay_s": 27 * 60.0}
    at = Installation(allowing(settings, "webhooks", **delays))
    async with application() as app, running(at.settings):
        app.answers["/failing"] = status(500)
        failed = [a_delivery(f"M{n}", app.url("/failing"), attempt=n) for n in (1, 2, 4, 6)]
        deliveries = at.topics.webhook_deliveries
        await at.write_raw(*(Outgoing(deliveries, KEY, orjson.dumps(one)) for one in failed))
        for topic, minutes, attempt in zip(
            at.topics.webhook_retries, (1, 3, 9, 27), (2, 3, 5, 7), strict=True
        ):
            await at.wait_for(topic, 1)
            [record] = await at.records(topic)
            retry = webhook_deliveries.read(record.value)
            assert retry.not_before is not None
            assert retry.attempt == attempt
            waits_s = retry.not_before.timestamp() - record.timestamp / 1000
            assert waits_s == pytest.approx(60 * minutes, abs=30)


async def test_a_topic_of_retries_is_a_queue_and_a_restart_repeats_none_of_it(
    settings: Settings,
) -> None:
    changes = {"webhook_first_delay_s": 1.0, "webhook_circuit_failures": 1_000}
    at = Installation(allowing(settings, "webhooks", **changes))
    sids = [f"M{number}" for number in range(30)]
    async with application() as app:

        async def fail_once(told: Told) -> web.Response:
            seen = [one.message_sid for one in app.told]
            return web.Response(status=500 if seen.count(told.message_sid) == 1 else 200)

        app.answers["/failing"] = fail_once
        statuses = (a_status(sid, app.url("/failing")) for sid in sids)
        await at.write(at.topics.message_statuses, *statuses)
        async with running(at.settings):
            await at.wait_for(at.topics.webhook_retries_1, len(sids))
        async with running(at.settings):
            await at.wait_for_no_lag("webhooks")
    told = [one.message_sid for one in app.told]
    assert sorted(told) == sorted(2 * sids)
    waited = [one["message_sid"] for one in await at.values(at.topics.webhook_retries_1)]
    assert [sid for place, sid in enumerate(told) if sid in told[:place]] == waited


BAD_URLS = ["http://[", "http://a℀b.com", "http://x:y@[::1", "http://\x1b]", "http://a:0x1/"]


async def test_no_url_stops_a_lane_and_its_fallback_is_asked(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    at = Installation(allowing(settings, "webhooks"))
    async with application() as app, running(at.settings):
        bad = [a_status(f"A{n}", url) for n, url in enumerate(BAD_URLS)]
        await at.write(at.topics.message_statuses, *bad)
        told = a_delivery("B", "http://[", fallback_url=app.url("/fallback"))
        untold = a_delivery("C", app.url("/x") + "#rc=0", fallback_url="http://[")
        app.answers["/x"] = status(500)
        for one in (told, untold):
            await at.write_raw(Outgoing(at.topics.webhook_deliveries, KEY, orjson.dumps(one)))
        await others_are_told(at, app, "V")
        await at.wait_for_letters(len(BAD_URLS) + 1)
        await at.wait_for_no_lag("webhooks")
        [fallback] = app.at("/fallback")
    assert "lane.failed" not in caplog.text
    assert fallback.fields["ErrorUrl"] == "http://["
    letters = [said_of(letter) for letter in await at.records(at.topics.dead_letters)]
    assert {topic for topic, _ in letters} == {at.topics.webhook_deliveries}
    reasons = [reason for _, reason in letters]
    assert reasons.count("11200: answered 500; attempt 1") == 1
    assert sum("11200: the URL has " in str(reason) for reason in reasons) == len(BAD_URLS)


async def test_no_size_stops_a_lane_and_what_is_too_large_is_put_aside(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    at = Installation(allowing(settings, "webhooks", webhook_attempts=3))
    statuses = at.topics.message_statuses
    async with application() as app, running(at.settings):
        app.answers["/failing"] = status(500)
        # Just small enough to be read, while its retry is larger.
        full = Outgoing(
            statuses,
            KEY,
            orjson.dumps(a_status("A", app.url("/failing"))),
            [("padding", b"x" * 1_048_200)],
        )
        # Small when it is compressed.
        flat = Outgoing(statuses, KEY, b"x" * 3_000_000)
        wide = Outgoing(
            statuses,
            KEY,
            orjson.dumps(a_status("B", app.url("/failing"))),
            [("padding", b"x" * 3_000_000)],
        )
        async with writer(
            at.settings, max_request_size=1 << 23, compression_type="gzip", acks="all"
        ) as out:
            await out.send_all([flat, wide])
        await at.write_raw(full)
        await others_are_told(at, app, "V")
        await at.wait_for_letters(3)
        # The partitions of the refused records accept the next records.
        await at.write(statuses, a_status("C", app.url("/failing")))
        await at.wait_for_letters(4)
        await at.wait_for_no_lag("webhooks")
    assert "lane.failed" not in caplog.text
    letters = await at.records(at.topics.dead_letters)
    flat_letter, wide_letter = [
        one for one in letters if said(one.headers, "topic") == at.topics.message_statuses
    ]
    for letter, record in ((flat_letter, flat), (wide_letter, wide)):
        assert record.value is not None
        assert letter.value == record.value[:65_536]
        assert dict(letter.headers)["optout.reference"]
        reason = said(letter.headers, "exception.message")
        assert reason == "a record that inflates to more than 2 MiB"
    # The others were tried as often as any; fields that fit into no topic were left out.
    for letter in letters:
        if letter not in (flat_letter, wide_letter):
            assert "answered 500; attempt 3" in (said(letter.headers, "exception.message") or "")
            assert "padding" not in dict(letter.headers)


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        ("text/plain; charset=punycode", b"2n7c" + b"b" * 60_000, 12300),
        ("text/plain; charset=undefined", b"Hello", 12300),
        ("text/xml", b"<?xml version='1.0' encoding='punycode'?><Response/>", 12300),
        ("text/xml", b"<Response>" + 5_000 * b"<Sms>a</Sms>" + b"</Response>", 12100),
    ],
)
async def test_no_answer_stops_a_lane_or_is_asked_for_again(
    settings: Settings, content_type: str, body: bytes, code: int
) -> None:
    at = Installation(allowing(settings, "webhooks"))

    async def odd(told: Told) -> web.Response:
        return web.Response(body=body, headers={"Content-Type": content_type})

    async with application() as app, running(at.settings) as runtime:
        app.answers["/odd"] = odd
        inbound = {"SmsStatus": "received", "From": RECIPIENT, "To": LONG_CODE, "MessageSid": "A"}
        one = a_delivery("A", app.url("/odd"), parameters=inbound)
        await at.write_raw(Outgoing(at.topics.webhook_deliveries, KEY, orjson.dumps(one)))
        await others_are_told(at, app, "V")
        await at.wait_for_no_lag("webhooks")
        await counted(runtime.shared.webhook_counts, **{f"answer_problems_{code}": 1})
        tokens = {one.headers["I-Twilio-Idempotency-Token"] for one in app.at("/odd")}
        assert len(tokens) == 1
    assert await at.records(at.topics.dead_letters) == []


async def test_what_nobody_foresaw_is_put_aside_and_the_lane_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = Installation(allowing(settings, "webhooks"))

    def fails_to_read(value: bytes) -> MessageStatus:
        status = MessageStatus.model_validate_json(value)
        if status.message_sid == "A":
            raise KeyError(status.to)
        return status

    monkeypatch.setattr(webhook_deliveries, "read_status", fails_to_read)
    monkeypatch.setattr(Delivery, "_after", fails_after)
    async with application() as app, running(at.settings) as runtime:
        app.answers["/failing"] = status(500)
        await at.write(
            at.topics.message_statuses,
            a_status("A", app.url("/ok")),
            a_status("B", app.url("/failing")),
        )
        await others_are_told(at, app, "V")
        await at.wait_for_letters(2)
        await at.wait_for_no_lag("webhooks")
        assert runtime.shared.webhook_counts["unexpected"] == 2
    letters = [said_of(letter) for letter in await at.records(at.topics.dead_letters)]
    why = "unexpected KeyError while it was decided on: please report it"
    assert letters == 2 * [(at.topics.message_statuses, why)]


def fails_after(delivery: Delivery, failure: Any) -> Any:
    raise KeyError(delivery)
