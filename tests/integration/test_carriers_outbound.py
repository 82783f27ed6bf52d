"""Replies and sends handed to a provider: outcomes, retries, pace, and the last look (R25, R36)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web

from processor.audit import audit
from processor.config import Settings
from processor.kafka.writing import Outgoing
from processor.wire.json_values import to_text
from tests.application import Application, Hanging, Told, application
from tests.builders import ACCOUNT, LONG_CODE, OTHER_LONG_CODE, RECIPIENT
from tests.carrier_serving import serving, store, with_carriers
from tests.carriers import a_document, a_request, twilio_text
from tests.clinic import CLINIC, a_send, a_text, configure
from tests.installation import Installation, by_sid, running, topics_apart, until

OTHER_RECIPIENT = "+15557650002"


def sending(settings: Settings, *roles: str, **more: Any) -> Settings:
    """An installation that hands messages over, and tries again soon."""
    return with_carriers(
        settings,
        roles=roles or ("match", "gate", "carriers"),
        **{"carrier_first_delay_s": 0.1, "carrier_longest_delay_s": 0.8, **more},
    )


def twilio_at(app: Application, **fields: Any) -> dict[str, Any]:
    return a_document("twilio", api_url=app.url(""), answers=[], **fields)


class Twilio:
    """Twilio's API: takes every message, unless a test says otherwise."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self.refusals: dict[str, list[tuple[int, str]]] = {}  # first answers, by body
        app.answers["/2010-04-01/Accounts/AC0000000000000000000000000000000f/Messages.json"] = (
            self.answer
        )

    async def answer(self, told: Told) -> web.Response:
        if refusals := self.refusals.get(told.fields["Body"]):
            status, text = refusals.pop(0)
            return web.Response(status=status, text=text)
        return web.Response(status=201, text='{"sid": "SMtheirs", "status": "queued"}')

    @property
    def bodies(self) -> list[str]:
        return [one.fields["Body"] for one in self._app.told]

    async def has(self, count: int) -> Sequence[Told]:
        async def enough() -> bool:
            return len(self._app.told) >= count

        await until(enough, f"{count} requests")
        return self._app.told


async def statuses(at: Installation, count: int) -> dict[str, Any]:
    return by_sid(await at.wait_for(at.topics.message_statuses, count))


async def test_both_ways_a_stop_its_confirmation_and_the_next_send_refused(
    settings: Settings,
) -> None:
    at = Installation(sending(settings))
    async with application() as app, serving(at.settings) as edge:
        twilio = Twilio(app)
        await configure(at.settings, CLINIC)
        await store(at.settings, twilio_at(app))
        async with running(at.settings):
            await edge.knows("twilio-1")
            await at.sends(a_send("SM1", status_callback="https://a.b/c"))
            [send] = await twilio.has(1)
            await statuses(at, 1)
            callback = urlsplit(send.fields["StatusCallback"])
            form = b"MessageSid=SMtheirs&MessageStatus=delivered"
            report = a_request("twilio", form, query=callback.query)
            assert (await edge.ask(report))[0] == 200
            await edge.ask(a_request("twilio", twilio_text("stop")))
            reply = (await twilio.has(2))[1]
            await at.sends(a_send("SM2"))
            await at.wait_for(at.topics.message_statuses, 4)
            await at.wait_for_no_lag("match", "gate", "carriers")
        [confirmation] = await at.values(at.topics.reply_sends)
        told = await at.values(at.topics.message_statuses)
    assert callback.netloc + callback.path == "sms.example.com/carriers/twilio-1"
    assert list(parse_qs(callback.query)) == ["ref"]
    assert (send.fields["From"], send.fields["To"]) == (LONG_CODE, RECIPIENT)
    assert (reply.fields["Body"], "StatusCallback" in reply.fields) == ("You are out.", False)
    assert {(one["message_sid"], one["status"], one.get("error_code")) for one in told} == {
        ("SM1", "delivered", None),
        ("SM1", "sent", None),
        (confirmation["reply_sid"], "sent", None),
        ("SM2", "failed", 21610),
    }
    assert {one["status_callback"] for one in told if one["message_sid"] == "SM1"} == {
        "https://a.b/c"
    }
    assert len(app.told) == 2


@pytest.mark.parametrize("how", ["retry", "pace", "place"])
async def test_r25_a_send_that_is_held_back_is_never_handed_over_after_a_stop(
    settings: Settings, how: str
) -> None:
    """Held by a provider that fails, by the carrier's pace, or by a request before it."""
    more = {"carrier_first_delay_s": 3.0, "carrier_longest_delay_s": 3.0} if how == "retry" else {}
    at = Installation(sending(settings, **more))
    async with application() as app:
        twilio = Twilio(app)
        await configure(at.settings, CLINIC)
        slow = Hanging()
        if how == "retry":
            twilio.refusals["held"] = [(503, "")] * 9
        elif how == "place":
            app.answers = dict.fromkeys(app.answers, slow)
        pace = 0.4 if how == "pace" else None
        await store(at.settings, twilio_at(app, sends_per_second=pace))
        async with running(at.settings) as runtime:
            first = "held" if how == "retry" else "first"
            await at.sends(a_send("SMfirst", body=first))
            await twilio.has(1)
            held = [a_send(f"SM{n}", body="held") for n in range(4)] if how != "retry" else []
            await at.sends(*held)
            await at.wait_for(at.topics.allowed_sends, 1 + len(held))
            await at.texts(a_text("SMstop", "stop"))
            [reply] = await at.wait_for(at.topics.reply_sends, 1)
            before = twilio.bodies.count("held")
            slow.released.set()
            told = await at.wait_for(at.topics.message_statuses, 2 + len(held))
            await at.wait_for_no_lag("carriers")
            sends = runtime.shared.metrics.carrier_sends
            blocked = sends.labels("twilio-1", "blocked")._value.get()
    failed = [one for one in told if one.get("error_code") == 21610]
    assert len(failed) == (1 if how == "retry" else len(held))
    assert blocked == len(failed)
    assert all(one["block"]["scope"] == "account" for one in failed)
    assert twilio.bodies.count("held") == before == (1 if how == "retry" else 0)
    assert twilio.bodies.count(reply["body"]) == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_r25_the_audit_of_a_send_that_was_held_back_is_clean(
    settings: Settings, status: int
) -> None:
    delay_s = {"carrier_first_delay_s": 2.0, "carrier_longest_delay_s": 2.0}
    at = Installation(sending(settings, **delay_s))
    async with application() as app:
        twilio = Twilio(app)
        twilio.refusals["held"] = [(status, "{}")] * 9
        await configure(at.settings, CLINIC)
        await store(at.settings, twilio_at(app))
        async with running(at.settings):
            await at.sends(a_send("SMheld", body="held"))
            await twilio.has(1)
            await at.texts(a_text("SMstop", "stop"))
            reply = (await twilio.has(2))[1]
            told = by_sid(await at.wait_for(at.topics.message_statuses, 2))
            await at.texts(a_text("SMstart", "start"))
            await twilio.has(3)
            await at.sends(a_send("SMnext", body="next"))
            await at.wait_for(at.topics.message_statuses, 4)
            await at.wait_for_no_lag("match", "gate", "carriers")
            await topics_apart()  # the audit leaves the last second to the next audit
            report = await audit(at.settings)
            assert (report.violations, report.counts["hand_overs_checked"]) == ((), 4)
    assert twilio.bodies == ["held", reply.fields["Body"], twilio.bodies[2], "next"]
    assert told["SMheld"]["error_code"] == 21610


async def test_the_audit_names_a_send_that_was_handed_over_after_a_stop(
    settings: Settings,
) -> None:
    at = Installation(sending(settings))
    async with application() as app:
        twilio = Twilio(app)
        await configure(at.settings, CLINIC)
        await store(at.settings, twilio_at(app))
        async with running(at.settings):
            await at.sends(a_send("SM1"))
            await twilio.has(1)
            await at.wait_for(at.topics.message_statuses, 1)
            [sent] = await at.records(at.topics.message_statuses)
            await at.texts(a_text("SMstop", "stop"))
            await at.wait_for(at.topics.message_statuses, 2)
            await topics_apart()
            # The same send once more, as if by a worker that no longer follows the list.
            later = str(time.time_ns() // 1_000_000).encode()
            headers = {**dict(sent.headers), "optout.looked-at": later}
            again = Outgoing(sent.topic, sent.key, sent.value, list(headers.items()))
            await at.write_raw(again)
            await at.wait_for_no_lag("match", "gate", "carriers")
            await topics_apart()
            report = await audit(at.settings)
    [found] = report.violations
    assert found.kind == "leak"
    assert found.what.startswith("was judged without SMstop")
    assert report.counts["hand_overs_checked"] == 3


async def test_a_providers_errors_become_statuses_or_later_tries(settings: Settings) -> None:
    at = Installation(sending(settings, carrier_attempts=3))
    async with application() as app:
        twilio = Twilio(app)
        twilio.refusals = {
            "invalid": [(400, '{"code": 21211, "message": "not valid"}')],
            "busy": [(429, "{}"), (500, "")],
            "down": [(503, "")] * 9,
        }
        await store(at.settings, twilio_at(app))
        async with running(at.settings):
            await at.sends(
                *(
                    a_send(f"SM{body}", body=body, to=f"+155576501{n:02}")
                    for n, body in enumerate(["invalid", "busy", "down", "fine"])
                )
            )
            told = await statuses(at, 4)
            await at.wait_for_no_lag("carriers")
    assert {sid: (one["status"], one.get("error_code")) for sid, one in told.items()} == {
        "SMinvalid": ("failed", 21211),
        "SMbusy": ("sent", None),
        "SMdown": ("failed", 30008),
        "SMfine": ("sent", None),
    }
    assert told["SMdown"]["error_message"] == "answered 503; attempt 3"
    assert Counter(twilio.bodies) == {"invalid": 1, "busy": 3, "down": 3, "fine": 1}
    records = await at.records(at.topics.message_statuses)
    assert {dict(one.headers)["carrier"] for one in records} == {b"twilio-1"}


async def test_r36_a_late_reply_is_sent_or_dropped_as_it_says(settings: Settings) -> None:
    at = Installation(sending(settings, "carriers"))
    now_ms = time.time_ns() // 1_000_000

    def reply(sid: str, kind: str, before_ms: int, late: str) -> dict[str, Any]:
        return {
            "reply_sid": sid,
            "in_reply_to": f"{sid}in",
            "account_sid": ACCOUNT,
            "from": LONG_CODE,
            "to": RECIPIENT,
            "body": sid,
            "kind": kind,
            "send_before": to_text(before_ms),
            "late_reply": late,
        }

    async with application() as app:
        twilio = Twilio(app)
        await store(at.settings, twilio_at(app))
        async with running(at.settings) as runtime:
            await at.write(
                at.topics.reply_sends,
                reply("SMlate", "STOP", now_ms - 1, "send"),
                reply("SMdropped", "STOP", now_ms - 1, "drop"),
                reply("SMintime", "HELP", now_ms + 60_000, "drop"),
            )
            await at.wait_for_no_lag("carriers")
            sends = runtime.shared.metrics.carrier_sends
            counted = {
                result: sends.labels("twilio-1", result)._value.get()
                for result in ("sent", "sent_late", "dropped_late")
            }
    assert twilio.bodies == ["SMlate", "SMintime"]
    assert counted == {"sent": 1, "sent_late": 1, "dropped_late": 1}
    told = await at.values(at.topics.message_statuses)
    assert {one["message_sid"]: one["status"] for one in told} == {
        "SMlate": "sent",
        "SMintime": "sent",
    }


async def test_a_confirmation_of_a_start_is_outdated_by_a_later_stop(settings: Settings) -> None:
    at = Installation(sending(settings, carrier_first_delay_s=3.0, carrier_longest_delay_s=3.0))
    async with application() as app:
        twilio = Twilio(app)
        await configure(at.settings, CLINIC)
        await store(at.settings, twilio_at(app))
        async with running(at.settings) as runtime:
            await at.texts(a_text("SM1", "stop"))
            await twilio.has(1)
            app.answers = {path: Refusing() for path in app.answers}
            await at.texts(a_text("SM2", "start"))
            await twilio.has(2)
            Twilio(app)
            await at.texts(a_text("SM3", "stop"))
            await twilio.has(3)
            await at.wait_for_no_lag("carriers")
            outdated = runtime.shared.metrics.carrier_sends.labels("twilio-1", "outdated")
            count = outdated._value.get()
    start = [one for one in await at.values(at.topics.reply_sends) if one["kind"] == "START"]
    assert twilio.bodies.count(start[0]["body"]) == 1  # the try before the STOP
    assert count == 1


class Refusing:
    """Answers 503."""

    async def __call__(self, told: Told) -> web.Response:
        return web.Response(status=503)


async def test_sends_without_a_sender_and_of_other_senders(settings: Settings) -> None:
    at = Installation(sending(settings))
    async with application() as app:
        twilio = Twilio(app)
        senders = [{"address": LONG_CODE}, {"address": OTHER_LONG_CODE}]
        await configure(at.settings, {**CLINIC, "senders": senders})
        await store(at.settings, twilio_at(app))
        async with running(at.settings):
            await at.sends(
                a_send("SM1", **{"from": None, "messaging_service_sid": "MGclinic"}),
                a_send("SM2", **{"from": OTHER_LONG_CODE}),
                a_send("SM3", account_sid="AC2"),
            )
            told = await statuses(at, 1)
            await at.wait_for_no_lag("gate", "carriers")
    assert list(told) == ["SM1"]
    assert told["SM1"]["from"] == LONG_CODE
    assert [one.fields["From"] for one in app.told] == [LONG_CODE]
    assert twilio.bodies == ["Your appointment is tomorrow."]


async def test_a_provider_that_is_down_delays_no_other(settings: Settings) -> None:
    at = Installation(sending(settings))
    down = a_document(
        "kannel", api_url="http://127.0.0.1:1025/sendsms", senders=[OTHER_LONG_CODE], name="down"
    )
    async with application() as app:
        Twilio(app)
        await store(at.settings, twilio_at(app), down)
        async with running(at.settings):
            await at.sends(
                *(
                    a_send(f"SMd{n}", to=f"+1555765{n:04}", **{"from": OTHER_LONG_CODE})
                    for n in range(60)
                )
            )
            await at.wait_for(at.topics.carrier_retries_4, 40)  # the circuit is open
            await at.sends(*(a_send(f"SM{n}", to=f"+1555766{n:04}") for n in range(40)))
            told = await at.wait_for(at.topics.message_statuses, 40)
    assert {one["status"] for one in told} == {"sent"}


async def test_a_record_that_cannot_be_read_is_a_dead_letter(settings: Settings) -> None:
    at = Installation(sending(settings))
    async with application() as app:
        twilio = Twilio(app)
        await store(at.settings, twilio_at(app))
        async with running(at.settings):
            await at.write(at.topics.allowed_sends, a_send("SM0"))
            await twilio.has(1)
            key = RECIPIENT.encode()
            await at.write_raw(
                Outgoing(at.topics.allowed_sends, key, b"nonsense"),
                Outgoing(at.topics.reply_sends, key, b"{}"),
                Outgoing(at.topics.carrier_retries_2, key, None),
            )
            await at.write(at.topics.allowed_sends, a_send("SM1"))
            await at.wait_for_letters(3)
            await twilio.has(2)
            await at.wait_for_no_lag("carriers")


async def test_secrets_that_cannot_be_opened_hold_the_messages(
    settings: Settings,
) -> None:
    at = Installation(sending(settings))
    async with application() as app:
        twilio = Twilio(app)
        await store(at.settings, twilio_at(app))
        other = at.settings.model_copy(update={"secret_keys": None})
        async with running(other) as runtime:
            await at.write(at.topics.allowed_sends, a_send("SM1"))
            await at.wait_for(at.topics.carrier_retries_4, 1)
            assert any("secrets that cannot be opened" in one for one in runtime.unready())
        assert app.told == []
        async with running(at.settings):
            await twilio.has(1)
            await statuses(at, 1)
