"""outbound-messages.v1: bytes to a checked send, and to what the gate judges."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from processor.core.messages import OutboundSend
from processor.wire.json_values import (
    NOT_QUICK,
    are_addresses,
    are_numbers,
    are_sids,
    is_address,
    is_number,
    is_sid,
    quick_decoder,
    quick_read,
    remember,
    to_text,
)
from schemas.outbound_message import OutboundMessage as Model

_decode = quick_decoder(Model)
_accounts: set[str] = set()
_services: set[str | None] = set()
_senders: set[str | None] = set()  # that are no numbers
_callbacks: set[str | None] = set()
_MOST_CALLBACKS = 10_000  # of 2 KB each


def read(value: bytes) -> Model:
    """Check a value whole; what is returned has the model's attributes.

    Raises:
        pydantic.ValidationError: where the model refuses it.
    """
    try:
        if not value.isascii():
            value.decode()  # fields it does not know are passed over as they are
        quick: Model = _decode(value)
    except NOT_QUICK:
        return _read_slowly(value)
    if (
        quick.account_sid in _accounts
        and quick.messaging_service_sid in _services
        and (quick.from_ in _senders or is_number(quick.from_ or ""))
        and quick.status_callback in _callbacks
        and quick.media_urls is None
        and is_sid(quick.message_sid)
        and is_address(quick.to)
        and 1970 < quick.created_at.year < 9998
    ):
        return quick
    return _read_slowly(value)


def read_all(values: Sequence[bytes]) -> list[Model]:
    """As ``read`` of each, in half the time.

    Raises:
        pydantic.ValidationError: where the model refuses one.
    """
    quick = quick_read(_decode, values)
    if (
        quick is not None
        and _accounts.issuperset([one.account_sid for one in quick])
        and _services.issuperset([one.messaging_service_sid for one in quick])
        and are_numbers([one or "" for one in {one.from_ for one in quick} - _senders])
        and _callbacks.issuperset([one.status_callback for one in quick])
        and not any(one.media_urls is not None for one in quick)
        and are_sids([one.message_sid for one in quick])
        and are_addresses([one.to for one in quick])
        and all(1970 < year < 9998 for year in {one.created_at.year for one in quick})
    ):
        return quick
    return list(map(read, values))


def _read_slowly(value: bytes) -> Model:
    model = Model.model_validate_json(value)
    remember(_accounts, model.account_sid)
    remember(_services, model.messaging_service_sid)
    remember(_senders, model.from_)
    remember(_callbacks, model.status_callback, _MOST_CALLBACKS)
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
