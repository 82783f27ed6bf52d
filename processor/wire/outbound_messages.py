"""outbound-messages.v1: bytes to a checked send, and to what the gate judges."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import orjson

from processor.core.messages import OutboundSend
from processor.wire.json_values import is_number, quick_decoder, remember, to_text
from schemas.outbound_message import OutboundMessage as Model

_decode = quick_decoder(Model)
_accounts: set[str] = set()
_services: set[str | None] = set()
_senders: set[str | None] = set()  # that are no numbers
_callbacks: set[str | None] = set()


def read(value: bytes) -> Model:
    """Check a value whole; what is returned has the model's attributes.

    Raises:
        pydantic.ValidationError: where the model refuses it.
    """
    try:
        if not value.isascii():
            value.decode()  # fields it does not know are passed over as they are
        quick = _decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _read_slowly(value)
    sid = quick.message_sid
    if (
        quick.account_sid in _accounts
        and quick.messaging_service_sid in _services
        and (is_number(quick.from_ or "") or quick.from_ in _senders)
        and quick.status_callback in _callbacks
        and quick.media_urls is None
        and sid.isalnum()
        and sid.isascii()
        and len(sid) <= 64
        and is_number(quick.to)
        and 1970 < quick.created_at.year < 9998
    ):
        return quick  # type: ignore[no-any-return]
    return _read_slowly(value)


def _read_slowly(value: bytes) -> Model:
    model = Model.model_validate_json(value)
    remember(_accounts, model.account_sid)
    remember(_services, model.messaging_service_sid)
    remember(_senders, model.from_)
    remember(_callbacks, model.status_callback)
    return model


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
    """What the gate judges, with the service resolved by R1."""
    return OutboundSend(
        message_sid=read.message_sid,
        account_sid=read.account_sid,
        service_sid=service_sid,
        sender=read.from_,
        recipient=read.to,
    )
