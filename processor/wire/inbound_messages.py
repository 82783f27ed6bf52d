"""inbound-messages.v1: bytes to a checked message for every record, to a core value for a hit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from processor.core.messages import (
    Arrival,
    InboundMessage,
    OptOutType,
    UnreadStop,
    bare_number,
    channel_group_of,
)
from processor.core.policy import DEFAULT_POLICY
from processor.wire.headers import arrival_of
from processor.wire.json_values import (
    NOT_QUICK,
    are_addresses,
    are_numbers,
    are_sids,
    is_address,
    is_number,
    is_sender,
    is_sid,
    quick_decoder,
    quick_read,
    remember,
    to_ms,
)
from schemas.common import MAX_BODY_CHARACTERS
from schemas.inbound_message import InboundMessage as Model

_MOST_LOOKED_AT = 1 << 20  # bytes of a value that is searched for a STOP
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
        quick: Model = _decode(value)
    except NOT_QUICK:
        return _read_slowly(value)
    if (
        quick.account_sid in _accounts
        and quick.messaging_service_sid in _services
        and (quick.to in _senders or is_number(quick.to))
        and quick.from_country in _countries
        and is_sid(quick.message_sid)
        and is_address(quick.from_)
        and 1970 < quick.received_at.year < 9998
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
        and are_numbers({one.to for one in quick} - _senders)
        and _countries.issuperset([one.from_country for one in quick])
        and are_sids([one.message_sid for one in quick])
        and are_addresses([one.from_ for one in quick])
        and all(1970 < year < 9998 for year in {one.received_at.year for one in quick})
    ):
        return quick
    return list(map(read, values))


def _read_slowly(value: bytes) -> Model:
    model = Model.model_validate_json(value)
    remember(_accounts, model.account_sid)
    remember(_services, model.messaging_service_sid)
    remember(_senders, model.to)
    remember(_countries, model.from_country)
    return model


def unread_stop_of(record: Any) -> UnreadStop | None:
    """The STOP that a record holds which cannot be read whole; None where it holds none.

    Only a word that default handling knows (R3), with an account and a recipient that can be read.
    """
    if not record.value or len(record.value) > _MOST_LOOKED_AT:
        return None
    try:
        fields = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict):
        return None
    account_sid, recipient, sender, body = (
        fields.get(name) for name in ("account_sid", "from", "to", "body")
    )
    if not (isinstance(account_sid, str) and isinstance(recipient, str) and isinstance(body, str)):
        return None
    if not is_sid(account_sid) or not is_address(recipient) or len(body) > MAX_BODY_CHARACTERS:
        return None
    match = DEFAULT_POLICY.match(body, None)
    if match is None or match.kind is not OptOutType.STOP:
        return None
    return UnreadStop(
        id=f"unread-{record.partition}-{record.offset}",
        account_sid=account_sid,
        recipient=bare_number(recipient),
        channel_group=channel_group_of(recipient),
        sender=sender if isinstance(sender, str) and is_sender(sender) else None,
        arrival=arrival_of(record),
    )


def message_of(read: Model, arrival: Arrival | None = None) -> InboundMessage:
    """The core value of a checked message.

    Args:
        read: the message.
        arrival: of its record; None: it comes from no topic, and came when it was received.
    """
    received_at_ms = to_ms(read.received_at)
    return InboundMessage(
        message_sid=read.message_sid,
        account_sid=read.account_sid,
        service_sid=read.messaging_service_sid,
        recipient=read.from_,
        sender=read.to,
        body=read.body,
        from_country=read.from_country,
        num_media=read.num_media,
        received_at_ms=received_at_ms,
        arrival=arrival or Arrival(received_at_ms),
    )
