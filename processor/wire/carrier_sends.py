"""Messages for carriers: from reply-sends, allowed-sends and carrier-retries, and to the latter."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson

from processor.core.messages import OutboundSend
from processor.errors import RecordError
from processor.wire import outbound_messages
from processor.wire.blocks import EXCEPT_FROM_HEADER
from processor.wire.json_values import refuse_size, to_ms, to_text
from processor.wire.records import Headers
from schemas.carrier_send import CarrierSend
from schemas.outbound_message import OutboundMessage
from schemas.reply_send import ReplySend


def read_reply(value: bytes | None) -> CarrierSend:
    """The reply in a record of `reply-sends.v1`.

    Raises:
        ValidationError, RecordError: it cannot be read.
    """
    refuse_size(value)
    reply = ReplySend.model_validate_json(value or b"")
    return CarrierSend.model_construct(
        message_sid=reply.reply_sid,
        account_sid=reply.account_sid,
        messaging_service_sid=reply.messaging_service_sid,
        from_=reply.from_,
        to=reply.to,
        body=reply.body,
        reply_to=reply.kind,
        send_before=reply.send_before,
        late_reply=reply.late_reply,
    )


def read_allowed(value: bytes | None) -> OutboundMessage:
    """The send in a record of `allowed-sends.v1`.

    Raises:
        ValidationError, RecordError: it cannot be read.
    """
    refuse_size(value)
    return outbound_messages.read(value or b"")


def read_again(value: bytes | None) -> CarrierSend:
    """The message in a record of `carrier-retries-….v1`.

    Raises:
        ValidationError, RecordError: it cannot be read.
    """
    refuse_size(value)
    return CarrierSend.model_validate_json(value or b"")


def send_by(send: OutboundMessage, sender: str) -> CarrierSend:
    """A send, with the sender that it goes out from."""
    return CarrierSend.model_construct(
        message_sid=send.message_sid,
        account_sid=send.account_sid,
        messaging_service_sid=send.messaging_service_sid,
        from_=sender,
        to=send.to,
        body=send.body,
        media_urls=send.media_urls,
        status_callback=send.status_callback,
    )


def message_of(send: CarrierSend, at_ms: int) -> OutboundMessage:
    """The send as its application gave it, for the status of it."""
    return OutboundMessage.model_construct(
        message_sid=send.message_sid,
        account_sid=send.account_sid,
        messaging_service_sid=send.messaging_service_sid,
        from_=send.from_,
        to=send.to,
        body=send.body,
        status_callback=send.status_callback,
        created_at=datetime.fromtimestamp(at_ms / 1000, UTC),
    )


def judged(send: CarrierSend, service_sid: str | None) -> OutboundSend:
    """The send that the last look judges."""
    return OutboundSend(send.message_sid, send.account_sid, service_sid, send.from_, send.to)


def excepted(headers: Headers) -> frozenset[str]:
    """The senders that an allowed send must not go out from (R21)."""
    found = [value for name, value in headers if name == EXCEPT_FROM_HEADER and value]
    try:
        return frozenset(found[-1].decode().split(",")) if found else frozenset()
    except UnicodeDecodeError:
        raise RecordError(f"the header {EXCEPT_FROM_HEADER} is not a text") from None


def write(send: CarrierSend) -> bytes:
    """The value of `carrier-retries-….v1`."""
    fields = send.model_dump(by_alias=True, exclude_defaults=True)
    times = {name: to_text(to_ms(at)) for name, at in fields.items() if isinstance(at, datetime)}
    return orjson.dumps(fields | times)
