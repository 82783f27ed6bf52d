"""carrier-retries-1.v1 to -4.v1: a message that a carrier has not taken yet."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.common import (
    Body,
    OptOutType,
    RecipientAddress,
    Record,
    SenderAddress,
    Sid,
    Time,
    Url,
)


class CarrierSend(Record):
    """A send, or the reply to a keyword, with the time of its next try."""

    message_sid: Sid = Field(description="Of a reply, its `reply_sid`.")
    account_sid: Sid
    messaging_service_sid: Sid | None = None
    from_: SenderAddress = Field(alias="from")
    to: RecipientAddress
    body: Body
    media_urls: Annotated[list[Url], Field(max_length=10)] | None = None
    status_callback: Url | None = None
    reply_to: OptOutType | None = Field(
        default=None, description="The kind of keyword that it replies to; None: it is a send."
    )
    send_before: Time | None = None
    late_reply: Literal["send", "drop"] = "send"
    attempt: int = Field(default=1, ge=1)
    not_before: Time | None = None
