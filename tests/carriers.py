"""Carriers for tests: documents, connections, and requests as each provider makes them."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha1, sha256
from typing import Any
from urllib.parse import unquote_plus, urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from processor.carriers.adapter import Connection, Request
from processor.configuration.carriers import read
from processor.wire.carriers import connection_of
from schemas.carrier import Carrier
from tests.builders import ACCOUNT, LONG_CODE, RECIPIENT

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
NOW_S = NOW.timestamp()
HOST = "https://sms.example.com"
PHONE_ID = "106540352242922"
TELNYX_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TELNYX_PUBLIC_KEY = base64.b64encode(
    TELNYX_KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
).decode()
SECRETS = {
    "twilio": {"auth_token": "twilio's token"},
    "telnyx": {"api_key": "KEY0123"},
    "whatsapp": {"app_secret": "app's", "access_token": "EAAtoken", "verify_token": "verify"},
    "kannel": {"secret": "our secret", "password": "kannel's"},
    "generic": {"secret": "generic's secret"},
}
OPTIONS = {
    "twilio": {"account": "AC0000000000000000000000000000000f"},
    "telnyx": {"public_key": TELNYX_PUBLIC_KEY},
    "kannel": {"username": "optout"},
}
MAPPING: dict[str, dict[str, Any]] = {
    "received": {
        "messages": "messages",
        "id": "id",
        "from": "from.number",
        "to": "to",
        "body": "text",
        "media": "media",
        "received_at": "at",
    },
    "reported": {"status": "state", "words": {"DELIVRD": "delivered"}, "error": "error"},
    "sending": {
        "headers": {"Idempotency-Key": "{sid}", "Authorization": "Bearer {secret.secret}"},
        "json": {"from": "{from}", "to": "{to}", "text": "{body}", "callback": "{status_url}"},
        "id": "message.id",
    },
}


def a_document(provider: str, **fields: Any) -> dict[str, Any]:
    """A document of `carriers.yaml`, its secrets in the environment."""
    sender: Any = LONG_CODE
    if provider == "whatsapp":
        sender = {"address": f"whatsapp:{LONG_CODE}", "id": PHONE_ID}
    made: dict[str, Any] = {
        "name": f"{provider}-1",
        "provider": provider,
        "account_sid": ACCOUNT,
        "senders": [sender],
        "options": OPTIONS.get(provider, {}),
        "secrets": {name: {"env": f"C25_{name.upper()}"} for name in SECRETS[provider]},
    }
    if provider in ("kannel", "generic"):
        made["api_url"] = "http://127.0.0.1:13013/cgi-bin/sendsms"
    if provider == "generic":
        made["mapping"] = MAPPING
    return {**made, **fields}


def a_carrier(provider: str, **fields: Any) -> Carrier:
    """A stored carrier."""
    carrier, problems = read(a_document(provider, **fields), NOW, "cli/test")
    assert carrier, problems
    return carrier


def a_connection(provider: str, **fields: Any) -> Connection:
    """A carrier with its secrets open."""
    return connection_of(a_carrier(provider, **fields), SECRETS[provider])


def a_request(
    provider: str,
    body: bytes = b"",
    *,
    name: str | None = None,
    method: str = "POST",
    query: str = "",
    headers: Mapping[str, str] | None = None,
    host: str = HOST,
    now_s: float = NOW_S,
) -> Request:
    """A request that is signed as its provider does it."""
    url = f"{host}/carriers/{name or f'{provider}-1'}" + (f"?{query}" if query else "")
    given = {**_signed(provider, url, body, now_s), **(headers or {})}
    return Request(method, url, query, given, body)


def _signed(provider: str, url: str, body: bytes, now_s: float) -> dict[str, str]:
    match provider:
        case "twilio":
            fields = [one.partition("=") for one in body.decode().split("&")] if body else []
            said = url + "".join(unquote_plus(name + value) for name, _, value in sorted(fields))
            mac = hmac.digest(SECRETS["twilio"]["auth_token"].encode(), said.encode(), sha1)
            return {"x-twilio-signature": base64.b64encode(mac).decode()}
        case "telnyx":
            stamp = str(int(now_s))
            signature = TELNYX_KEY.sign(stamp.encode() + b"|" + body)
            return {
                "telnyx-timestamp": stamp,
                "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
            }
        case "whatsapp":
            mac = hmac.digest(SECRETS["whatsapp"]["app_secret"].encode(), body, sha256)
            return {"x-hub-signature-256": f"sha256={mac.hex()}"}
        case _:
            return {}


def twilio_text(body: str, sid: str = "SM1", **fields: str) -> bytes:
    """The form of a text that Twilio received."""
    given = {
        "MessageSid": sid,
        "SmsStatus": "received",
        "From": RECIPIENT,
        "To": LONG_CODE,
        "Body": body,
        "NumMedia": "0",
    }
    return urlencode({**given, **fields}).encode()


def telnyx_text(body: str, id_: str = "id-1", **payload: Any) -> bytes:
    """The event of a text that Telnyx received."""
    given = {
        "id": id_,
        "direction": "inbound",
        "from": {"phone_number": RECIPIENT, "carrier": "T-Mobile"},
        "to": [{"phone_number": LONG_CODE, "status": "webhook_delivered"}],
        "text": body,
        "media": [],
        "received_at": "2026-11-02T11:59:58.000+00:00",
    }
    return telnyx_event("message.received", {**given, **payload})


def telnyx_event(kind: str, payload: Mapping[str, Any]) -> bytes:
    """An event of Telnyx."""
    data = {
        "event_type": kind,
        "id": "event-1",
        "occurred_at": "2026-11-02T12:00:01.000+00:00",
        "record_type": "event",
        "payload": payload,
    }
    return json.dumps({"data": data, "meta": {"attempt": 1}}).encode()


def whatsapp_event(
    messages: Sequence[Mapping[str, Any]] = (),
    statuses: Sequence[Mapping[str, Any]] = (),
    field: str = "messages",
) -> bytes:
    """A notification of WhatsApp."""
    value: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": LONG_CODE[1:], "phone_number_id": PHONE_ID},
    }
    if messages:
        contact = {"profile": {"name": "Ann"}, "wa_id": RECIPIENT[1:], "user_id": "US.134912086553"}
        value["contacts"] = [contact]
        value["messages"] = list(messages)
    if statuses:
        value["statuses"] = list(statuses)
    entry = {"id": "102290129340398", "changes": [{"value": value, "field": field}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def whatsapp_message(kind: str, content: Any, id_: str = "wamid.1=") -> dict[str, Any]:
    """A message in a notification of WhatsApp."""
    return {
        "from": RECIPIENT[1:],
        "id": id_,
        "timestamp": "1793620798",
        "type": kind,
        kind: content,
    }
