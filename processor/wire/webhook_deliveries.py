"""The records of the webhooks lane: deliveries, status callbacks, and answers to send."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from urllib.parse import urljoin

import orjson
from pydantic import BaseModel

from processor.core.identity import send_id
from processor.webhooks.addresses import without_login
from processor.webhooks.signature import signed_url
from processor.webhooks.twiml import Message
from processor.wire.json_values import to_ms, to_text
from schemas.message_status import MessageStatus
from schemas.outbound_message import OutboundMessage
from schemas.webhook_delivery import WebhookDelivery


def read(value: bytes) -> WebhookDelivery:
    """A value of `webhook-deliveries.v1` or of a retry topic; raises ``ValidationError``."""
    return WebhookDelivery.model_validate_json(value)


def write(delivery: WebhookDelivery) -> bytes:
    """The value of a retry topic."""
    return _write(delivery)


def read_status(value: bytes) -> MessageStatus:
    """A value of `message-statuses.v1`; raises ``ValidationError``."""
    return MessageStatus.model_validate_json(value)


def callback_of(status: MessageStatus, url: str) -> WebhookDelivery:
    """The request that reports a send's new status to an application."""
    error_code = status.error_code
    optional = {
        "MessagingServiceSid": status.messaging_service_sid,
        "From": status.from_,
        "ErrorCode": None if error_code is None else str(error_code),
    }
    return WebhookDelivery(
        delivery_id=send_id(
            status.account_sid, status.message_sid, status.from_, status.to, status.status
        ),
        account_sid=status.account_sid,
        messaging_service_sid=status.messaging_service_sid,
        message_sid=status.message_sid,
        url=url,
        parameters={
            "ApiVersion": "2010-04-01",
            "AccountSid": status.account_sid,
            "MessageSid": status.message_sid,
            "SmsSid": status.message_sid,
            "MessageStatus": status.status,
            "SmsStatus": status.status,
            "To": status.to,
            **{name: value for name, value in optional.items() if value is not None},
        },
    )


def is_inbound(delivery: WebhookDelivery) -> bool:
    """Whether it reports an inbound message, which may be answered; a status may not."""
    return delivery.parameters.get("SmsStatus") == "received"


def send_of(
    message: Message, delivery: WebhookDelivery, *, index: int, url: str, at: datetime
) -> OutboundMessage:
    """The send that an answer asks for; the same sid whenever the delivery is repeated.

    Args:
        message: the answer's.
        delivery: that it answers.
        index: of the message in the answer.
        url: that gave the answer.
        at: now.

    Raises:
        ValueError: where the application wrote what cannot be sent; pydantic's is one.
    """
    said = f"answer/{delivery.account_sid}/{delivery.delivery_id}/{index}".encode()
    callback, base = message.status_callback, signed_url(url)
    return OutboundMessage.model_validate(
        {
            "message_sid": "SM" + blake2b(said, digest_size=16).hexdigest(),
            "account_sid": delivery.account_sid,
            "messaging_service_sid": delivery.messaging_service_sid,
            "from": message.sender or delivery.parameters.get("To"),
            "to": message.recipient or delivery.parameters.get("From"),
            "body": message.body,
            "media_urls": [urljoin(base, one) for one in message.media_urls] or None,
            "status_callback": without_login(urljoin(url, callback)) if callback else None,
            "created_at": at,
        }
    )


def write_send(send: OutboundMessage) -> bytes:
    """The value of `outbound-messages.v1`."""
    return _write(send)


def _write(model: BaseModel) -> bytes:
    fields = model.model_dump(by_alias=True, exclude_defaults=True)
    times = {name: to_text(to_ms(at)) for name, at in fields.items() if isinstance(at, datetime)}
    return orjson.dumps(fields | times)
