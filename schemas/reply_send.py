"""reply-sends.v1: a confirmation for the carrier to send."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.common import (
    Body,
    LanguageTag,
    OptOutType,
    RecipientAddress,
    Record,
    SenderAddress,
    Sid,
    Time,
)


class ReplySend(Record):
    """The reply to a keyword; it skips the gate, as the block it confirms must not stop it."""

    reply_sid: Sid = Field(
        description="Derived from the message's sid, so it is the same at every replay."
    )
    in_reply_to: Sid
    account_sid: Sid
    messaging_service_sid: Sid | None = None
    from_: SenderAddress = Field(alias="from")
    to: RecipientAddress
    body: Body
    kind: OptOutType
    language: LanguageTag | None = None
    send_before: Time | None = Field(
        default=None,
        description="Five minutes after the keyword came: until then it is presumed to be lawful.",
    )
    late_reply: Literal["send", "drop"] = Field(
        default="send",
        description="Its sender sends it after `send_before`, too, or drops it then.",
    )
