"""numbers.v1 (compacted): the numbers, short codes and channel senders that accounts own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from schemas.common import CountryCode, HttpMethod, Record, SenderAddress, Sid, Time, Url
from schemas.messaging_service import PoolSenderType


class Number(Record):
    """A sender of an account; its service has it in the pool."""

    sid: Sid = Field(description="PN, SC or XE and 32 hexadecimal digits.")
    account_sid: Sid
    address: SenderAddress
    type: PoolSenderType
    country: CountryCode | None = None
    friendly_name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    sms_url: Url | None = None
    sms_method: HttpMethod = "POST"
    sms_fallback_url: Url | None = None
    sms_fallback_method: HttpMethod = "POST"
    status_callback: Url | None = None
    granted: bool = Field(
        default=False, description="Whether the operator granted it to this account."
    )
    created_at: Time
    updated_at: Time
