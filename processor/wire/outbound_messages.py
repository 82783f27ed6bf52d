"""outbound-messages.v1: bytes to a checked send, and to what the gate judges."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from processor.core.messages import OutboundSend
from processor.wire.json_values import to_text
from processor.wire.quick_reader import (
    ABSENT,
    ADDRESS,
    SID,
    TIME,
    QuickReader,
    known,
    known_or_number,
)
from schemas.outbound_message import OutboundMessage as Model

_CALLBACKS_LIMIT = 10_000  # of 2 KB each
_READER = QuickReader(
    Model,
    {
        "account_sid": known(),
        "messaging_service_sid": known(),
        "from_": known_or_number(),
        "status_callback": known(_CALLBACKS_LIMIT),
        "media_urls": ABSENT,
        "message_sid": SID,
        "to": ADDRESS,
        "created_at": TIME,
    },
)
read, read_all = _READER.read, _READER.read_all


def write(
    *,
    message_sid: str,
    account_sid: str,
    service_sid: str | None,
    sender: str | None,
    to: str,
    body: str,
    media_urls: Sequence[str],
    status_callback: str | None,
    created_at_ms: int,
) -> bytes:
    """The value of a send, as an application wants it."""
    return orjson.dumps(
        {
            "message_sid": message_sid,
            "account_sid": account_sid,
            "messaging_service_sid": service_sid,
            "from": sender,
            "to": to,
            "body": body,
            "media_urls": list(media_urls) or None,
            "status_callback": status_callback,
            "created_at": to_text(created_at_ms),
        }
    )


def send_of(read: Model, service_sid: str | None) -> OutboundSend:
    """The send that the gate judges, with the service resolved by R1."""
    return OutboundSend(
        message_sid=read.message_sid,
        account_sid=read.account_sid,
        service_sid=service_sid,
        sender=read.from_,
        recipient=read.to,
    )
