"""opt-out-notifications.v1: tells the customer that a message matched, and what that did."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.common import CountryCode, LanguageTag, OptOutType, Time
from schemas.inbound_message import InboundMessage


class OptOutNotification(InboundMessage):
    """All fields of the inbound message, and the decision on it (R27)."""

    kind: OptOutType
    opt_out_type: OptOutType | None = Field(
        default=None, description="Twilio's OptOutType: the kind where Advanced Opt-Out is enabled."
    )
    keyword: str = Field(description="As configured.")
    language: LanguageTag | None = None
    country: CountryCode | None = Field(default=None, description="Of the override it matched.")
    match: Literal["exact", "tolerant"]
    effective: bool = Field(description="Whether the block list now is as the keyword asks.")
    reply_sent: Literal["aoo", "default", "carrier", "none"]
    config_version: int | None = Field(default=None, description="None where no service is known.")
    aoo_enabled: bool
    at: Time | None = Field(
        default=None, description="When the record of the message was appended."
    )
