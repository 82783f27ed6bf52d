"""inbound-messages.v1: the messages that carriers received for us."""

from __future__ import annotations

from pydantic import Field

from schemas.common import (
    Body,
    CountryCode,
    RecipientAddress,
    Record,
    SenderAddress,
    Sid,
    Time,
    UserId,
)


class InboundMessage(Record):
    """A message from a recipient to one of our senders; keyed by the recipient's subscriber key."""

    message_sid: Sid
    account_sid: Sid
    messaging_service_sid: Sid | None = None
    from_: RecipientAddress = Field(alias="from", description="The recipient's handset.")
    to: SenderAddress = Field(description="Our sender.")
    body: Body
    from_country: CountryCode | None = None
    num_media: int = Field(default=0, ge=0, le=100)
    received_at: Time
    carrier_replied: bool = Field(
        default=False,
        description="The carrier has acted on it and answered it, so no reply is sent.",
    )
    user_id: UserId | None = Field(
        default=None,
        description="The recipient's WhatsApp user id, if `from` is a WhatsApp number and the "
        "carrier names both: from then on they are one person.",
    )
