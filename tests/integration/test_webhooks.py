"""R28: webhooks through the real topics to a real HTTP server, which records them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from twilio.request_validator import RequestValidator

from processor.config import Settings
from processor.core.partitions import partition_of
from processor.kafka.lanes.membership import Membership
from processor.kafka.writing import Outgoing
from processor.wire.dead_letters import said
from tests.application import (
    PATIENT,
    SHOP_NUMBER,
    TOKEN,
    Hanging,
    OneToken,
    Told,
    a_service,
    a_shop,
    allowing,
    application,
    counted,
    status,
    told_at,
    twiml,
)
from tests.builders import ACCOUNT, LONG_CODE, RECIPIENT
from tests.clinic import CLINIC, a_send, a_text, configure
from tests.installation import Installation, running, until
from tests.integration.conftest import Command


async def test_r28_every_message_arrives_once_and_in_its_recipients_order(
    settings: Settings,
) -> None:
    at = Installation(allowing(settings))
    recipients = [f"+1555765{number:04}" for number in range(20)]
    texts = [
        a_text(f"M{recipient[-4:]}n{number}", f"text {number}", **{"from": recipient})
        for number in range(25)
        for recipient in recipients
    ]
    async with application() as app:
        await configure(settings, a_service(app))
        async with running(at.settings, tokens=OneToken()):
            await at.texts(*texts)
            told = await told_at(app, "/inbound", len(texts))
            await at.wait_for_no_lag("webhooks")
        told = app.at("/inbound")
    for recipient in recipients:
        sids = [one.message_sid for one in told if one.fields["From"] == recipient]
        assert sids == [f"M{recipient[-4:]}n{number}" for number in range(25)]
    validator = RequestValidator(TOKEN)
    for one in told:
        assert validator.validate(one.url, one.fields, one.headers["X-Twilio-Signature"])
    assert await at.records(at.topics.webhook_retries_1) == []
    assert await at.records(at.topics.dead_letters) == []


async def test_r28_opt_out_type_is_told_only_where_aoo_is_enabled(settings: Settings) -> None:
    at = Installation(allowing(settings))
    async with application() as app:
        shop = a_shop(app, "/shop", opt_out={"enabled": False}, inbound_method="GET")
        await configure(settings, a_service(app), shop)
        async with running(at.settings, tokens=OneToken()):
            await at.texts(
                a_text("M1", "halt"),
                a_text("M2", "hello"),
                a_text("M3", "stop", to=SHOP_NUMBER, account_sid="ACshop"),
            )
            clinic = await told_at(app, "/inbound", 2)
            [shop_told] = await told_at(app, "/shop", 1)
    assert [(one.message_sid, one.fields.get("OptOutType")) for one in clinic] == [
        ("M1", "STOP"),
        ("M2", None),
    ]
    assert (shop_told.method, shop_told.fields["Body"]) == ("GET", "stop")
    assert "OptOutType" not in shop_told.fields
    signature = shop_told.headers["X-Twilio-Signature"]
    assert RequestValidator(TOKEN).validate(shop_told.url, {}, signature)


async def test_failures_are_tried_again_then_the_fallback_then_put_aside_and_come_back(
    settings: Settings, optout: Command
) -> None:
    at = Installation(allowing(settings, webhook_attempts=3, webhook_circuit_failures=100))
    async with application() as app:
        app.answers |= {"/inbound": status(500), "/fallback": status(503)}
        service = a_service(app, fallback_url=app.url("/fallback"), fallback_method="GET")
        await configure(settings, service)
        async with running(at.settings, tokens=OneToken()) as runtime:
            await at.texts(a_text("M1", "hello"))
            await at.wait_for_letters(1)
            [letter] = await at.records(at.topics.dead_letters)
            assert [one.path for one in app.told] == [
                "/inbound",
                *("/inbound", "/fallback"),
                *("/inbound", "/fallback"),
            ]
            assert len({one.headers["I-Twilio-Idempotency-Token"] for one in app.told}) == 1
            fallback = app.at("/fallback")[0]
            assert fallback.fields["ErrorCode"] == "11200"
            assert fallback.fields["ErrorUrl"] == app.url("/inbound")
            signature = fallback.headers["X-Twilio-Signature"]
            assert RequestValidator(TOKEN).validate(fallback.url, {}, signature)
            assert said(letter.headers, "exception.message") == "11200: answered 500; attempt 3"
            await counted(runtime.shared.webhook_counts, retried=2, dead_lettered=1)

            app.answers.clear()
            await optout("dead-letters", "redrive", "--all")
            again = (await told_at(app, "/inbound", 4))[-1]
            await at.wait_for_no_lag("webhooks")
    assert (again.fields, again.headers["I-Twilio-Idempotency-Token"]) == (
        app.told[0].fields,
        app.told[0].headers["I-Twilio-Idempotency-Token"],
    )
    assert len(await at.records(at.topics.dead_letters)) == 1


async def test_a_fallback_that_was_told_is_enough_whatever_it_answered(settings: Settings) -> None:
    at = Installation(allowing(settings, "match", "webhooks"))
    async with application() as app:
        app.answers |= {"/inbound": twiml("<oops"), "/fallback": twiml("<oops")}
        service = a_service(app, fallback_url=app.url("/fallback"))
        await configure(settings, service)
        async with running(at.settings):
            await at.texts(a_text("M1", "hello"))
            [fallback] = await told_at(app, "/fallback", 1)
            await at.wait_for_no_lag("webhooks")
    assert fallback.fields["ErrorCode"] == "12100"
    assert [one.path for one in app.told] == ["/inbound", "/fallback"]
    assert await at.records(at.topics.webhook_retries_1) == []


async def test_a_hanging_endpoint_holds_nobody_else_up(settings: Settings) -> None:
    mine = allowing(settings, webhook_concurrency=2).model_copy(update=PATIENT)
    at = Installation(mine)
    hanging = Hanging()
    async with application() as app:
        app.answers["/inbound"] = hanging
        await configure(settings, a_service(app), a_shop(app, "/shop"))
        async with application() as other:
            await configure(settings, a_shop(other, "/shop"))
            async with running(at.settings):
                # One recipient, so one partition: the records that hang come first.
                await at.texts(*(a_text(f"H{number}", "hi") for number in range(300)))
                await told_at(app, "/inbound", 1)
                to_shop = {"to": SHOP_NUMBER, "account_sid": "ACshop"}
                # On a busy machine, many at once would wait 3 s for their turn, and be put off.
                for first in range(0, 300, 10):
                    lot = range(first, first + 10)
                    await at.texts(*(a_text(f"S{number}", "hi", **to_shop) for number in lot))
                    told = await told_at(other, "/shop", first + 10)
                assert not hanging.released.is_set()
                assert len(app.told) == hanging.hangs == 1  # one for each recipient
                hanging.released.set()

                async def every_one() -> bool:
                    return len({one.message_sid for one in app.told}) == 300

                await until(every_one, "300 messages told, some of them from the retries")
    assert [one.message_sid for one in told] == [f"S{number}" for number in range(300)]


async def test_the_watchdog_sees_what_hangs_and_not_what_waits_for_its_time(
    settings: Settings,
) -> None:
    at = Installation(
        allowing(
            settings,
            "match",
            "webhooks",
            webhook_first_delay_s=3600.0,
            webhook_longest_delay_s=3600.0,
        ).model_copy(update=PATIENT)
    )
    hanging = Hanging()
    partition = partition_of(RECIPIENT.encode(), settings.partitions)
    async with application() as app:
        app.answers |= {"/inbound": hanging, "/later": status(500)}
        await configure(settings, a_service(app))
        async with running(at.settings) as runtime:
            lanes = runtime.lanes["webhooks"]
            later = {
                "delivery_id": "M0.inbound",
                "account_sid": ACCOUNT,
                "message_sid": "M0",
                "url": app.url("/later"),
                "parameters": {"MessageSid": "M0", "To": RECIPIENT},
            }
            key = RECIPIENT.encode()
            await at.write_raw(Outgoing(at.topics.webhook_deliveries, key, orjson.dumps(later)))

            async def waits() -> bool:
                topics = {
                    tp.topic
                    for state in lanes.states()
                    for tp in state.next_offsets
                    if tp.partition == partition
                }
                return bool(app.at("/later")) and at.topics.webhook_retries_1 not in topics

            await until(waits, "retry that waits for its time")

            async def free() -> bool:
                well = all(state.ill_since is None for state in lanes.states())
                stuck = await lanes.stuck(0.0, redis_since=0.0)
                return well and stuck == [] and runtime.unready() == []

            await until(free, "lanes that are not stuck, and ready")
            await at.texts(a_text("M1", "hi"))
            await told_at(app, "/inbound", 1)
            [state] = await lanes.stuck(0.0, redis_since=0.0)
            assert state.partition == partition
            hanging.released.set()
            await until(free, "lane that is not stuck")
        assert len(app.at("/later")) == 1
    assert await at.lag("webhooks") == 1  # a waiting record is not committed


async def test_an_endpoint_that_is_down_is_left_alone_and_told_once_it_is_back(
    settings: Settings,
) -> None:
    at = Installation(
        allowing(settings, webhook_circuit_failures=2, webhook_circuit_s=1.0, webhook_attempts=50)
    )
    async with application() as app:
        app.answers["/inbound"] = status(500)
        await configure(settings, a_service(app))
        async with running(at.settings) as runtime:
            began = time.monotonic()
            await at.texts(*(a_text(f"M{number}", "hi") for number in range(50)))

            async def opened() -> bool:
                return runtime.shared.webhook_counts["failed.busy"] >= 48

            await until(opened, "open circuit")
            assert len(app.told) < 10 + (time.monotonic() - began)  # one a second tries it
            app.answers.clear()
            await told_at(app, "/inbound", 50)
            await at.wait_for_no_lag("webhooks")
    assert len({one.message_sid for one in app.told}) == 50
    assert await at.records(at.topics.dead_letters) == []


async def test_a_restart_loses_nothing_and_repeats_nothing_that_was_done(
    settings: Settings,
) -> None:
    at = Installation(allowing(settings).model_copy(update=PATIENT))
    hanging = Hanging()

    async def hang_for_some(told: Told) -> web.Response:
        return await hanging(told) if told.fields["Body"] == "hang" else web.Response()

    others = [f"+1555765{number:04}" for number in range(40)]
    async with application() as app:
        app.answers["/inbound"] = hang_for_some
        await configure(settings, a_service(app))
        async with running(at.settings):
            await at.texts(a_text("M0", "hang"))
            await told_at(app, "/inbound", 1)
            await at.texts(*(a_text(f"M{one[1:]}", "hi", **{"from": one}) for one in others))
            await told_at(app, "/inbound", 1 + len(others))
        hanging.released.set()
        async with running(at.settings):
            await at.texts(a_text("M1", "hi"))

            async def told_all() -> bool:
                sids = [one.message_sid for one in app.told]
                return sids.count("M0") == 2 and "M1" in sids

            await until(told_all, "the request that hung, again, and the later requests")
            await at.wait_for_no_lag("webhooks")
    sids = [one.message_sid for one in app.told]
    assert sorted(sids) == sorted(["M0", "M0", "M1", *(f"M{one[1:]}" for one in others)])
    tokens = {one.headers["I-Twilio-Idempotency-Token"] for one in app.told}
    assert len(tokens) == len(set(sids))


async def test_a_private_address_is_refused_without_a_try(settings: Settings) -> None:
    # Only public networks are allowed: not this machine, in any notation.
    at = Installation(allowing(settings, webhook_allow_networks=""))
    async with application() as app:
        urls = [
            app.url("/inbound?secret=s3cret"),
            f"http://user:s3cret@localhost:{app.port}/inbound",
            f"http://[::ffff:127.0.0.1]:{app.port}/inbound",
            f"http://2130706433:{app.port}/inbound",
            "http://169.254.169.254/latest/meta-data",
        ]
        services = [
            CLINIC
            | {
                "sid": f"MG{number}",
                "friendly_name": f"Clinic {number}",
                "senders": [{"address": f"+1555123000{number}"}],
                "inbound_request_url": url,
            }
            for number, url in enumerate(urls)
        ]
        await configure(settings, *services)
        async with running(at.settings) as runtime:
            texts = (a_text(f"M{n}", "hi", to=f"+1555123000{n}") for n in range(len(urls)))
            await at.texts(*texts)
            await at.wait_for_letters(len(urls))
            await counted(runtime.shared.webhook_counts, dead_lettered=len(urls), retried=0)
        assert app.told == []
    for letter in await at.records(at.topics.dead_letters):
        why = said(letter.headers, "exception.message") or ""
        assert why.startswith(("11205: the address is not public", "11210: the host is neither"))
        assert "s3cret" not in str(letter.headers)


async def test_a_redirect_is_not_followed(settings: Settings) -> None:
    at = Installation(allowing(settings, webhook_attempts=1))
    async with application() as app:
        app.answers["/inbound"] = status(302)
        await configure(settings, a_service(app))
        async with running(at.settings):
            await at.texts(a_text("M1", "hi"))
            await at.wait_for_letters(1)
    assert [one.path for one in app.told] == ["/inbound"]
    [letter] = await at.records(at.topics.dead_letters)
    assert "a redirect is not followed" in (said(letter.headers, "exception.message") or "")


async def test_an_answer_is_sent_through_the_gate_and_fails_after_a_stop(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    at = Installation(allowing(settings))
    async with application() as app:
        app.answers["/inbound"] = twiml(
            "<Response><Message>Hello</Message><Message><Body>Map</Body>"
            "<Media>/map.png</Media></Message></Response>"
        )
        await configure(settings, a_service(app))
        async with running(at.settings) as runtime:
            await at.texts(a_text("M1", "hi"))
            allowed = await at.wait_for(at.topics.allowed_sends, 2)
            await at.texts(a_text("M2", "halt"))
            failed = await at.wait_for(at.topics.message_statuses, 2)
            counts = runtime.shared.webhook_counts
            await counted(counts, answers=4, answers_after_opt_out_type=2)
    assert [(send["body"], send.get("media_urls")) for send in allowed] == [
        ("Hello", None),
        ("Map", [app.url("/map.png")]),
    ]
    for send in allowed:
        assert (send["from"], send["to"], send["account_sid"]) == (LONG_CODE, RECIPIENT, ACCOUNT)
        assert send["messaging_service_sid"] == "MGclinic"
    assert [one["error_code"] for one in failed] == [21610, 21610]
    assert "webhooks.answer_after_opt_out_type" in caplog.text
    assert RECIPIENT not in caplog.text


async def test_a_request_that_is_repeated_after_a_failed_commit_counts_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = Installation(allowing(settings, "match", "webhooks"))
    commit, failed = Membership.commit, 0

    async def fails(self: Membership, offsets: Mapping[TopicPartition, Any]) -> None:
        nonlocal failed
        if failed < 2 and app.told:  # once more when the lane lets its partition go
            failed += 1
            raise KafkaConnectionError
        await commit(self, offsets)

    async with application() as app:
        app.answers["/inbound"] = twiml("<oops")
        await configure(settings, a_service(app))
        async with running(at.settings) as runtime:
            await at.texts(a_text("M0", "hi"))
            await told_at(app, "/inbound", 1)
            await counted(runtime.shared.webhook_counts, answer_problems_12100=1)
            monkeypatch.setattr(Membership, "commit", fails)
            await at.texts(a_text("M1", "hi"))
            await told_at(app, "/inbound", 3)
            await counted(runtime.shared.webhook_counts, answer_problems_12100=2)
            await at.wait_for_no_lag("webhooks")
            await counted(runtime.shared.webhook_counts, answer_problems_12100=2)
    assert failed == 2
    assert [one.message_sid for one in app.told] == ["M0", "M1", "M1"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (twiml("<Response><Message>"), 12100),
        (twiml("<Response>" + 11 * "<Message>a</Message>" + "</Response>"), 14109),
        (twiml('<Response><Message from="+15550000009">a</Message></Response>'), 14102),
        (twiml('<Response><Message to="five">a</Message></Response>'), 12200),
    ],
    ids=["bad XML", "too many", "not our sender", "no recipient"],
)
async def test_what_is_wrong_with_an_answer_is_counted_and_not_tried_again(
    settings: Settings, answer: Any, code: int
) -> None:
    at = Installation(allowing(settings, "match", "webhooks"))
    async with application() as app:
        app.answers["/inbound"] = answer
        await configure(settings, a_service(app))
        async with running(at.settings) as runtime:
            await at.texts(a_text("M1", "hi"))
            await told_at(app, "/inbound", 1)
            await at.wait_for_no_lag("webhooks")
            await counted(runtime.shared.webhook_counts, **{f"answer_problems_{code}": 1})
    # A lane that loses its broker for a moment repeats the request, with the same token.
    assert len({one.headers["I-Twilio-Idempotency-Token"] for one in app.told}) == 1
    assert await at.records(at.topics.webhook_retries_1) == []
    sends = await at.records(at.topics.outbound_messages)
    assert len(sends) == (10 if code == 14109 else 0)
    assert await at.records(at.topics.dead_letters) == []


async def test_an_application_is_told_what_became_of_its_sends(settings: Settings) -> None:
    at = Installation(allowing(settings))
    async with application() as app:
        service = a_service(app, status_callback=app.url("/service-status"))
        await configure(settings, service)
        async with running(at.settings, tokens=OneToken()):
            await at.texts(a_text("M1", "halt"))
            await at.wait_for(at.topics.reply_sends, 1)
            await at.sends(a_send("S1", status_callback=app.url("/status")), a_send("S2"))
            [own] = await told_at(app, "/status", 1)
            [services] = await told_at(app, "/service-status", 1)
            await at.write(
                at.topics.message_statuses,
                {
                    "message_sid": "S3",
                    "account_sid": "ACother",
                    "from": "12345",
                    "to": RECIPIENT,
                    "status": "delivered",
                    "at": "2026-11-02T12:00:00.000Z",
                },
            )
            await at.wait_for_no_lag("webhooks")
    assert own.fields == {
        "ApiVersion": "2010-04-01",
        "AccountSid": ACCOUNT,
        "MessageSid": "S1",
        "SmsSid": "S1",
        "MessageStatus": "failed",
        "SmsStatus": "failed",
        "From": LONG_CODE,
        "To": RECIPIENT,
        "ErrorCode": "21610",
    }
    assert services.message_sid == "S2"
    assert RequestValidator(TOKEN).validate(own.url, own.fields, own.headers["X-Twilio-Signature"])
    assert len(app.told) == 3


async def test_a_flood_of_statuses_nobody_can_read_is_put_aside_and_stops_nothing(
    settings: Settings,
) -> None:
    at = Installation(allowing(settings, "webhooks"))
    async with running(at.settings) as runtime:
        await at.write(at.topics.message_statuses, *({"to": RECIPIENT} for _ in range(1_500)))
        await at.wait_for_letters(1_500)
        await at.wait_for_no_lag("webhooks")
        assert runtime.unready() == []
