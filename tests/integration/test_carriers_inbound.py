"""Providers' requests over HTTP to real topics: acknowledged once stored, each with one effect."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
import yaml

from processor.carriers.references import Reference, message_sid_of, written
from processor.config import Settings
from processor.wire.dead_letters import said
from tests.builders import ACCOUNT, LONG_CODE, RECIPIENT
from tests.carrier_serving import Edge, serving, store, with_carriers
from tests.carriers import (
    SECRETS,
    a_document,
    a_request,
    telnyx_text,
    twilio_text,
    whatsapp_event,
    whatsapp_message,
)
from tests.clinic import CLINIC, a_send, configure
from tests.edge import NOBODY
from tests.installation import Installation, running, until
from tests.integration.conftest import Command
from tests.samples import samples_of, value


async def test_a_stop_by_a_provider_blocks_once_however_often_it_comes(settings: Settings) -> None:
    at = Installation(with_carriers(settings))
    await configure(at.settings, CLINIC)
    await store(at.settings, a_document("twilio", answers=[]), a_document("telnyx", senders=[]))
    stop = a_request("twilio", twilio_text("Stop", "SMstop"))
    async with serving(at.settings) as edge, running(at.settings):
        await edge.knows("twilio-1", "telnyx-1")
        answers = [await edge.ask(stop) for _ in range(3)]
        assert answers == [(200, b"<Response/>")] * 3
        [reply] = await at.wait_for(at.topics.reply_sends, 1)
        await at.wait_for_no_lag("match")
        await at.sends(a_send("SMlate"))
        [status] = await at.wait_for(at.topics.message_statuses, 1)
    texts = await at.values(at.topics.inbound_messages)
    assert [one["message_sid"] for one in texts] == [message_sid_of("twilio-1", "SMstop")] * 3
    assert (reply["to"], reply["body"]) == (RECIPIENT, "You are out.")
    assert len(await at.values(at.topics.reply_sends)) == 1
    assert len(await at.values(at.topics.block_changes)) == 1
    assert (status["message_sid"], status["error_code"]) == ("SMlate", 21610)


async def test_r42_the_words_that_a_provider_answers_get_no_reply_of_ours(
    settings: Settings,
) -> None:
    at = Installation(with_carriers(settings))
    await configure(at.settings, CLINIC)
    await store(at.settings, a_document("twilio"))
    async with serving(at.settings) as edge, running(at.settings):
        await edge.knows("twilio-1")
        await edge.ask(a_request("twilio", twilio_text("stop", "SM1")))
        await edge.ask(a_request("twilio", twilio_text("halt", "SM2", From="+15557650001")))
        notes = await at.wait_for(at.topics.opt_out_notifications, 2)
        await at.wait_for_no_lag("match")
    replies = await at.values(at.topics.reply_sends)
    assert {one["body"]: one["reply_sent"] for one in notes} == {"stop": "carrier", "halt": "aoo"}
    assert [one["to"] for one in replies] == ["+15557650001"]
    assert len(await at.values(at.topics.block_changes)) == 2


async def test_a_batch_a_status_and_a_part_that_cannot_be_read(settings: Settings) -> None:
    at = Installation(with_carriers(settings))
    await store(at.settings, a_document("whatsapp"))
    texts = [whatsapp_message("text", {"body": f"n{n}"}, f"wamid.{n}") for n in range(20)]
    texts[7] = {**texts[7], "from": None}
    reference = written(Reference("SM9", ACCOUNT, None, f"whatsapp:{LONG_CODE}", RECIPIENT))
    status = {"id": "wamid", "status": "delivered", "biz_opaque_callback_data": reference}
    body = whatsapp_event(texts, [status, {**status, "biz_opaque_callback_data": "x"}])
    async with serving(at.settings) as edge:
        await edge.knows("whatsapp-1")
        assert (await edge.ask(a_request("whatsapp", body)))[0] == 200
        query = "hub.mode=subscribe&hub.verify_token=verify&hub.challenge=42"
        check = a_request("whatsapp", method="GET", query=query)
        assert await edge.ask(check) == (200, b"42")
        metrics = samples_of(edge.backend.metrics.text().decode())
    found = await at.values(at.topics.inbound_messages)
    assert sorted(one["body"] for one in found) == sorted(f"n{n}" for n in range(20) if n != 7)
    [told] = await at.values(at.topics.message_statuses)
    assert (told["message_sid"], told["status"]) == ("SM9", "delivered")
    [letter] = await at.records(at.topics.dead_letters)
    assert b'"n7"' in letter.value
    assert said(letter.headers, "stage") == "carriers"
    for kind, count in {"messages": 19, "statuses": 1, "unreadable": 1, "unreferenced": 1}.items():
        name = "optout_carrier_events_total"
        assert value(metrics, name, carrier="whatsapp-1", kind=kind) == count


async def test_a_wrong_signature_a_large_body_and_an_unknown_carrier_are_refused_and_counted(
    settings: Settings,
) -> None:
    at = Installation(with_carriers(settings, carriers_max_bytes=2048))
    await store(at.settings, a_document("twilio"), a_document("kannel", senders=[]))
    async with serving(at.settings) as edge:
        await edge.knows("twilio-1", "kannel-1")
        wrong = {"x-twilio-signature": "d3Jvbmc="}
        for request, status in (
            (a_request("twilio", twilio_text("stop"), headers=wrong), 401),
            (a_request("twilio", twilio_text("s" * 4000)), 413),
            (a_request("twilio", twilio_text("stop"), method="PUT"), 405),
            (a_request("twilio", twilio_text("stop"), name="nobody"), 404),
            (a_request("kannel", method="GET", query="id=1&from=1&to=2"), 401),
        ):
            assert await edge.ask(request) == (status, b"")
        metrics = samples_of(edge.backend.metrics.text().decode())
    assert await at.records(at.topics.inbound_messages) == []
    for carrier, result in (
        ("twilio-1", "unsigned"),
        ("twilio-1", "too_large"),
        ("twilio-1", "method"),
        ("unknown", "unknown"),
        ("kannel-1", "unsigned"),
    ):
        name = "optout_carrier_requests_total"
        assert value(metrics, name, carrier=carrier, result=result) == 1


async def test_without_kafka_a_request_is_to_come_again() -> None:
    settings = Settings(
        kafka_bootstrap=NOBODY, redis_url=f"redis://{NOBODY}/0", carriers_answer_s=0.2
    )
    async with serving(settings) as edge:
        assert await edge.ask(a_request("twilio", twilio_text("stop"))) == (503, b"later")
        async with edge.session.get(f"{edge.url}/readyz") as answer:
            assert (answer.status, (await answer.json())["reasons"]) == (503, ["waiting for Kafka"])


async def test_many_requests_at_once_are_all_stored(settings: Settings) -> None:
    at = Installation(with_carriers(settings))
    await store(at.settings, a_document("telnyx"))
    async with serving(at.settings) as edge:
        await edge.knows("telnyx-1")

        async def tell(number: int) -> int:
            body = telnyx_text(f"n{number}", f"id-{number}")
            request = a_request("telnyx", body, now_s=time.time())
            return (await edge.ask(request))[0]

        assert set(await asyncio.gather(*map(tell, range(300)))) == {200}
    assert len(await at.values(at.topics.inbound_messages)) == 300


async def test_the_commands_store_list_and_delete_and_the_server_follows(
    settings: Settings, optout: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = with_carriers(settings)
    assert made.secret_keys
    monkeypatch.setenv("OPTOUT_SECRET_KEYS", made.secret_keys.get_secret_value())
    file = tmp_path / "carriers.yaml"
    document = a_document("twilio", secrets=SECRETS["twilio"])
    file.write_text(yaml.safe_dump([document]))
    async with serving(made) as edge:
        first = await optout("carriers", "apply", str(file))
        assert "twilio-1" in first.stdout
        assert "changed: True" in first.stdout
        assert "changed: False" in (await optout("carriers", "apply", str(file))).stdout
        await edge.knows("twilio-1")
        stop = a_request("twilio", twilio_text("stop"))
        assert (await edge.ask(stop))[0] == 200
        listed = await optout("carriers", "list", "--json")
        assert '"path":"/carriers/twilio-1"' in listed.stdout
        assert SECRETS["twilio"]["auth_token"] not in listed.stdout
        env = {**document, "secrets": {"auth_token": {"env": "C25_NOT_SET"}}}
        file.write_text(yaml.safe_dump([env]))
        await optout("carriers", "apply", str(file))
        await _becomes(edge, 503)
        assert "auth_token" in (await optout("carriers", "list")).stdout
        await optout("carriers", "delete", "twilio-1")
        await _becomes(edge, 404)
        assert "no such carrier" in (await optout("carriers", "delete", "x", code=2)).stderr


async def _becomes(edge: Edge, status: int) -> None:
    async def is_so() -> bool:
        answer = await edge.ask(a_request("twilio", twilio_text("stop")))
        return answer[0] == status

    await until(is_so, f"answer {status}")
