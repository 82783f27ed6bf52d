"""outbound-messages.v1: bytes to a checked send, and to what the gate judges."""

from __future__ import annotations

import re

import msgspec

from processor.core.messages import OutboundSend
from processor.wire.json_values import KNOWN_LIMIT, quick_decoder
from schemas.common import MAX_BODY_CHARACTERS
from schemas.outbound_message import OutboundMessage as Model

_decode = quick_decoder(Model)
_is_number = re.compile(r"\+[1-9][0-9]{6,14}").fullmatch
# Account, service, sender and callback of sends that the model took: few have most sends.
_known: set[tuple[str, str | None, str | None, str | None]] = set()


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
        (quick.account_sid, quick.messaging_service_sid, quick.from_, quick.status_callback)
        in _known
        and quick.media_urls is None
        and sid.isalnum()
        and sid.isascii()
        and len(sid) <= 64
        and _is_number(quick.to)
        and len(quick.body) <= MAX_BODY_CHARACTERS
        and 1970 < quick.created_at.year < 9998
    ):
        return quick  # type: ignore[no-any-return]
    return _read_slowly(value)


def _read_slowly(value: bytes) -> Model:
    model = Model.model_validate_json(value)
    if len(_known) >= KNOWN_LIMIT:
        _known.clear()
    _known.add((model.account_sid, model.messaging_service_sid, model.from_, model.status_callback))
    return model


def send_of(read: Model, service_sid: str | None) -> OutboundSend:
    """What the gate judges, with the service resolved by R1."""
    return OutboundSend(
        message_sid=read.message_sid,
        account_sid=read.account_sid,
        service_sid=service_sid,
        sender=read.from_,
        recipient=read.to,
    )
