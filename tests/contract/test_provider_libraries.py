"""Providers' own libraries sign what we verify, read what we read, and send as we send."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from pywa.client import WhatsApp
from pywa.types.message import Message
from pywa.utils import webhook_updates_validator
from telnyx import Telnyx
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from processor.carriers.adapter import Call, Request, Send
from processor.carriers.providers import ADAPTERS
from tests.builders import LONG_CODE, RECIPIENT
from tests.carriers import (
    NOW_S,
    OPTIONS,
    PHONE_ID,
    SECRETS,
    TELNYX_PUBLIC_KEY,
    a_connection,
    a_request,
    telnyx_text,
    whatsapp_event,
    whatsapp_message,
)


def test_twilios_own_validator_agrees_with_ours_on_ports_too() -> None:
    validator = RequestValidator(SECRETS["twilio"]["auth_token"])
    verify, connection = ADAPTERS["twilio"].verify, a_connection("twilio")
    for host in ("https://a.example", "https://a.example:443", "https://a.example:8443"):
        url = f"{host}/carriers/twilio-1"
        form = {"Body": "Ünï & code", "From": RECIPIENT, "Empty": ""}
        request = Request(
            "POST",
            url,
            "",
            {"x-twilio-signature": validator.compute_signature(url, form)},
            urlencode(form).encode(),
        )
        assert verify(request, connection, NOW_S)
        assert validator.validate(url, form, request.headers["x-twilio-signature"])


def test_telnyxs_own_library_verifies_and_reads_what_we_do() -> None:
    body = telnyx_text("Stop & go é", media=[{"url": "https://a.b/c.png"}])
    request = a_request("telnyx", body, now_s=time.time())
    client = Telnyx(api_key="KEY", public_key=TELNYX_PUBLIC_KEY)
    event: Any = client.webhooks.unwrap(body.decode(), headers=request.headers)
    connection = a_connection("telnyx")
    assert ADAPTERS["telnyx"].verify(request, connection, time.time())
    [message] = ADAPTERS["telnyx"].parse(request, connection).messages
    payload = event.data.payload
    assert event.data.event_type == "message.received"
    assert (message.id, message.body) == (payload.id, payload.text)
    assert message.recipient == payload.from_.phone_number
    assert message.sender == payload.to[0].phone_number
    with pytest.raises(Exception, match="signature"):
        client.webhooks.unwrap(body.decode() + " ", headers=request.headers)
    forged = replace(request, body=body + b" ")
    assert not ADAPTERS["telnyx"].verify(forged, connection, time.time())


def test_telnyxs_own_library_sends_as_we_do() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"data": {"id": "b0c7e8cb"}})

    with httpx.Client(transport=httpx.MockTransport(answer)) as web:
        client = Telnyx(api_key=SECRETS["telnyx"]["api_key"], http_client=web)
        client.messages.send(
            from_=LONG_CODE, to=RECIPIENT, text="Hi é", webhook_url="https://a.b/c"
        )
    [theirs], ours = asked, _call("telnyx", RECIPIENT)
    assert (str(theirs.url), theirs.method) == (ours.url, ours.method)
    assert json.loads(theirs.content) == json.loads(ours.body or b"")
    assert theirs.headers["Authorization"] == ours.headers["Authorization"]


def _call(provider: str, recipient: str) -> Call:
    connection = a_connection(provider)
    [sender] = connection.senders.values()
    send = Send("SM1", sender, recipient, "Hi é", status_url="https://a.b/c")
    return ADAPTERS[provider].build(send, connection)


def test_twilios_own_library_sends_as_we_do() -> None:
    class Kept(HttpClient):  # type: ignore[misc]
        def request(self, *given: Any, **more: Any) -> Response:
            asked.append((given, more))
            return Response(201, json.dumps({"sid": "SM2"}))

    asked: list[tuple[Any, Any]] = []
    account, token = OPTIONS["twilio"]["account"], SECRETS["twilio"]["auth_token"]
    client = Client(account, token, http_client=Kept(logging.getLogger(), False))
    client.messages.create(
        to=RECIPIENT, from_=LONG_CODE, body="Hi é", status_callback="https://a.b/c"
    )
    [(given, more)], ours = asked, _call("twilio", RECIPIENT)
    assert (given[0], given[1]) == (ours.method, ours.url)
    theirs = {name: one for name, one in more["data"].items() if one is not None}
    assert theirs == dict(parse_qsl((ours.body or b"").decode()))
    assert more["auth"] == (account, token)


def test_pywa_verifies_and_reads_what_we_do() -> None:
    given = whatsapp_message("text", {"body": "Stop & go é"})
    request = a_request("whatsapp", whatsapp_event([given]))
    secret, signature = SECRETS["whatsapp"]["app_secret"], request.headers["x-hub-signature-256"]
    assert webhook_updates_validator(secret, request.body, signature)
    connection = a_connection("whatsapp")
    assert ADAPTERS["whatsapp"].verify(request, connection, NOW_S)
    assert not webhook_updates_validator(secret, request.body + b" ", signature)
    client = WhatsApp(phone_id=PHONE_ID, token="EAAtoken")
    theirs: Any = Message.from_update(client, json.loads(request.body))
    [message] = ADAPTERS["whatsapp"].parse(request, connection).messages
    assert (message.id, message.body) == (theirs.id, theirs.text)
    assert message.recipient == f"whatsapp:+{theirs.from_user.wa_id}"
    assert message.received_ms == round(theirs.timestamp.timestamp() * 1000)
