"""inbound-messages.v1: bytes to a checked message for every record, to a core value for a hit."""

from __future__ import annotations

import msgspec

from processor.core.messages import InboundMessage
from processor.wire.json_values import is_number, quick_decoder, remember, to_ms
from schemas.inbound_message import InboundMessage as Model

_decode = quick_decoder(Model)
_accounts: set[str] = set()
_services: set[str | None] = set()
_senders: set[str] = set()  # that are no numbers
_countries: set[str | None] = set()


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
        and (is_number(quick.to) or quick.to in _senders)
        and quick.from_country in _countries
        and sid.isalnum()
        and sid.isascii()
        and len(sid) <= 64
        and is_number(quick.from_)
        and 1970 < quick.received_at.year < 9998
    ):
        return quick  # type: ignore[no-any-return]
    return _read_slowly(value)


def _read_slowly(value: bytes) -> Model:
    model = Model.model_validate_json(value)
    remember(_accounts, model.account_sid)
    remember(_services, model.messaging_service_sid)
    remember(_senders, model.to)
    remember(_countries, model.from_country)
    return model


def message_of(read: Model) -> InboundMessage:
    """The core value of a checked message."""
    return InboundMessage(
        message_sid=read.message_sid,
        account_sid=read.account_sid,
        service_sid=read.messaging_service_sid,
        recipient=read.from_,
        sender=read.to,
        body=read.body,
        from_country=read.from_country,
        num_media=read.num_media,
        received_at_ms=to_ms(read.received_at),
    )
