"""outbound-messages.v1 and allowed-sends.v1: messages that applications send."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.common import Body, RecipientAddress, Record, SenderAddress, Sid, Time, Url


class OutboundMessage(Record):
    """A message to a recipient; the gate forwards its bytes unchanged, or fails it with 21610."""

    message_sid: Sid
    account_sid: Sid
    messaging_service_sid: Sid | None = None
    from_: SenderAddress | None = Field(
        default=None, alias="from", description="None if the service chooses the sender."
    )
    to: RecipientAddress = Field(description="The recipient's handset.")
    body: Body
    media_urls: Annotated[list[Url], Field(max_length=10)] | None = None
    status_callback: Url | None = None
    created_at: Time
