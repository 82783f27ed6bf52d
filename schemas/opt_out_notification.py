"""opt-out-notifications.v1: the customer's events for matches and their effects."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.common import CountryCode, LanguageTag, OptOutType, Time
from schemas.inbound_message import InboundMessage
from schemas.suspected_opt_out import Suspicion


class OptOutNotification(InboundMessage):
    """All fields of the inbound message, and the decision on it (R27)."""

    kind: OptOutType
    opt_out_type: OptOutType | None = Field(
        default=None, description="Twilio's OptOutType: the kind, if Advanced Opt-Out is enabled."
    )
    keyword: str = Field(description="As configured.")
    language: LanguageTag | None = None
    country: CountryCode | None = Field(
        default=None, description="Country of the override it matched."
    )
    match: Literal["exact", "clean", "tolerant"] = Field(
        description="`tolerant` also of a text that only means the keyword; see `suspected`."
    )
    suspected: Suspicion | None = Field(
        default=None, description="How the text was read, if it is not a keyword itself."
    )
    effective: bool = Field(description="Whether the keyword took effect on the block list.")
    reply_sent: Literal["aoo", "default", "carrier", "none"]
    braked: bool = Field(
        default=False,
        description="Whether a reply was due, but not sent: too many within an hour.",
    )
    config_version: int | None = Field(default=None, description="None if the service is unknown.")
    aoo_enabled: bool
    at: Time | None = Field(default=None, description="When the message's record was appended.")
