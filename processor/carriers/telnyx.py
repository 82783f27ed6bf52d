"""Telnyx's messaging API v2: webhooks as JSON with an Ed25519 signature, sends as JSON.

Sources: https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks (events),
https://developers.telnyx.com/docs/messaging/messages/advanced-opt-in-out (its own keywords).
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from processor.carriers.adapter import (
    Accepted,
    Adapter,
    Call,
    Connection,
    Outcome,
    Parsed,
    Received,
    Reported,
    Request,
    Response,
    Send,
    Status,
    Unreadable,
)
from processor.carriers.values import (
    address,
    code,
    form_of,
    items,
    json_of,
    mapping,
    objects,
    piece,
    seconds,
    text,
    usual_failure,
    words,
)

_TOLERANCE_S = 300.0  # an older request may be a recording
_STATUSES: dict[str, Status] = {
    "queued": "queued",
    "sending": "sending",
    "sent": "sent",
    "delivered": "delivered",
    "delivery_unconfirmed": "sent",
    "sending_failed": "failed",
    "delivery_failed": "undelivered",
    "expired": "undelivered",
}


def verify(request: Request, connection: Connection, now_s: float) -> bool:
    """Whether Telnyx signed ``<timestamp>|<body>`` with its key, not long ago."""
    stamp = request.headers.get("telnyx-timestamp", "")
    signed_s = seconds(stamp)
    if signed_s is None or abs(now_s - signed_s) > _TOLERANCE_S:
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(
            base64.b64decode(connection.options["public_key"], validate=True)
        )
        given = base64.b64decode(request.headers.get("telnyx-signature-ed25519", ""), validate=True)
        key.verify(given, stamp.encode() + b"|" + request.body)
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def parse(request: Request, connection: Connection) -> Parsed:
    """One event."""
    value = json_of(request.body)
    data = mapping(mapping(value).get("data"))
    payload = mapping(data.get("payload"))
    match data.get("event_type"):
        case "message.received":
            return _message(payload, data)
        case "message.sent" | "message.finalized":
            return _status(payload, data, form_of(request.query).get("ref"))
        case str():
            return Parsed(passed_over=1)
        case _:
            return Parsed(unreadable=(Unreadable("no event of Telnyx", request.body),))


def _message(payload: dict[str, Any], data: dict[str, Any]) -> Parsed:
    to = next(objects(payload.get("to")), {})
    id_ = text(payload.get("id"))
    recipient = text(mapping(payload.get("from")).get("phone_number"))
    sender = text(to.get("phone_number"))
    if not (id_ and recipient and sender):
        return Parsed(unreadable=(Unreadable("id, from or to is missing", piece(data)),))
    message = Received(
        id=id_,
        recipient=address(recipient),
        sender=address(sender),
        body=text(payload.get("text")),
        num_media=len(items(payload.get("media"))),
        received_ms=_time(payload.get("received_at")),
    )
    return Parsed(messages=(message,))


def _status(payload: dict[str, Any], data: dict[str, Any], reference: str | None) -> Parsed:
    to = next(objects(payload.get("to")), {})
    status = _STATUSES.get(text(to.get("status")))
    if status is None:
        return Parsed(passed_over=1)
    error = next(objects(payload.get("errors")), {})
    told = Reported(
        reference,
        status,
        code(error.get("code")),
        words(error.get("title")) or None,
        _time(data.get("occurred_at")),
    )
    return Parsed(statuses=(told,))


def _time(value: object) -> int | None:
    try:
        at = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    return round(1000 * at.timestamp()) if at.tzinfo else None


def build(send: Send, connection: Connection) -> Call:
    """A request that creates a message."""
    fields: dict[str, object] = {
        "from": send.sender.address,
        "to": send.recipient,
        "text": send.body,
    }
    if send.media_urls:
        fields["media_urls"] = list(send.media_urls)
    if profile := connection.options.get("messaging_profile_id"):
        fields["messaging_profile_id"] = profile
    if send.status_url:
        fields["webhook_url"] = send.status_url
    return Call(
        "POST",
        f"{connection.api_url}/v2/messages",
        {
            "Authorization": f"Bearer {connection.secrets['api_key']}",
            "Content-Type": "application/json",
            "Idempotency-Key": send.sid,
        },
        json.dumps(fields).encode(),
    )


def outcome(response: Response, connection: Connection) -> Outcome:
    """The outcome of a send."""
    answer = mapping(json_of(response.body))
    if 200 <= response.status < 300:
        return Accepted(text(mapping(answer.get("data")).get("id")) or None)
    error = next(objects(answer.get("errors")), {})
    return usual_failure(response, code(error.get("code")), words(error.get("title")))


ADAPTER = Adapter(
    provider="telnyx",
    verify=verify,
    parse=parse,
    build=build,
    outcome=outcome,
    api_url="https://api.telnyx.com",
    answers=(
        *("stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit"),
        *("start", "unstop"),
    ),
    secrets=("api_key",),
    options=("public_key",),
    other_options=("messaging_profile_id",),
)
