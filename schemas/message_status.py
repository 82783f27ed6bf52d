"""message-statuses.v1: the outcome of sends."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.common import (
    ChangeId,
    Mark,
    RecipientAddress,
    Record,
    Scope,
    SenderAddress,
    Sid,
    Time,
    Url,
)


class RefusedBy(Record):
    """The block that refused a send."""

    scope: Scope
    since: Time
    change_id: ChangeId
    mark: Mark


class MessageStatus(Record):
    """A send's new status; the gate only writes failures (21610, 30002), carriers the rest."""

    message_sid: Sid
    account_sid: Sid
    messaging_service_sid: Sid | None = None
    from_: SenderAddress | None = Field(default=None, alias="from")
    to: RecipientAddress
    status: Literal[
        "accepted", "queued", "sending", "sent", "failed", "delivered", "undelivered", "read"
    ]
    error_code: int | None = None
    error_message: str | None = None
    status_callback: Url | None = None
    block: RefusedBy | None = None
    at: Time
