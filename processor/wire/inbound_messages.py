"""inbound-messages.v1: bytes to a checked message for every record, to a core value for a hit."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from pydantic import ValidationError

from processor.core.addresses import subscriber_key
from processor.core.links import Step, Way
from processor.core.messages import (
    Arrival,
    InboundMessage,
    OptOutType,
    UnreadStop,
    channel_group_of,
)
from processor.core.policy import DEFAULT_POLICY
from processor.errors import RecordError
from processor.wire.headers import arrival_of
from processor.wire.json_values import is_sender, is_sid, to_ms
from processor.wire.loose_messages import origin_in, read_loosely
from processor.wire.quick_reader import (
    ADDRESS,
    SID,
    TIME,
    USER_ID,
    QuickReader,
    known,
    known_or_number,
)
from processor.wire.records import Record
from processor.wire.ways import way_in
from schemas.common import MAX_BODY_CHARACTERS
from schemas.inbound_message import InboundMessage as Model

_MOST_LOOKED_AT = 1 << 20  # bytes of a value that is searched for a STOP
STRICT = QuickReader(
    Model,
    {
        "account_sid": known(),
        "messaging_service_sid": known(),
        "to": known_or_number(),
        "from_country": known(),
        "user_id": USER_ID,
        "message_sid": SID,
        "from_": ADDRESS,
        "received_at": TIME,
    },
)


def read(value: bytes) -> Model:
    """Check a value, loosely where nothing is lost by it (R33).

    Raises:
        pydantic.ValidationError, RecordError: with what is wrong.
    """
    try:
        return STRICT.read(value)
    except ValidationError as error:
        return read_loosely(value, error, STRICT.read)


def read_all(values: Sequence[bytes]) -> list[Model]:
    """As ``read`` of each, in half the time where all fit their schema."""
    try:
        return STRICT.read_all(values)
    except ValidationError:
        return list(map(read, values))


def unread_stop_of(record: Record) -> UnreadStop | None:
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
    account_sid, sender, body = (fields.get(name) for name in ("account_sid", "to", "body"))
    recipient = origin_in(fields)
    if not (isinstance(account_sid, str) and recipient and isinstance(body, str)):
        return None
    if not is_sid(account_sid) or len(body) > MAX_BODY_CHARACTERS:
        return None
    match = DEFAULT_POLICY.match(body, None)
    if match is None or match.kind is not OptOutType.STOP:
        return None
    return UnreadStop(
        id=f"unread-{record.partition}-{record.offset}",
        account_sid=account_sid,
        recipient=subscriber_key(recipient),
        channel_group=channel_group_of(recipient),
        sender=sender if isinstance(sender, str) and is_sender(sender) else None,
        arrival=arrival_of(record),
        way=_way_of(record),
    )


def _way_of(record: Record) -> Way | None:
    """The way to the number's entry of a message from its user id; None of other messages."""
    try:
        way = way_in(record)
    except RecordError:
        return None
    return way if way and way.step is Step.FOLLOW else None


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
        carrier_replied=read.carrier_replied,
        user_id=read.user_id if read.from_.startswith("whatsapp:+") else None,
    )
