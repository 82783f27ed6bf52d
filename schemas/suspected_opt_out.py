"""suspected-opt-outs.v1: texts that ask for an end although they are not keywords."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.common import CountryCode, Sid, Time
from schemas.inbound_message import InboundMessage

Reason = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Tier = Literal["phrase", "suspected"]


class Suspicion(BaseModel):
    """How a text was read, and what its service does with such texts (R30)."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    tier: Tier
    score: float = Field(ge=0, le=1, description="Of a phrase 1.")
    reasons: list[Reason] = Field(description="Codes and words of ours, never the text.")
    policy: Literal["block", "report"]


class SuspectedOptOut(InboundMessage):
    """All fields of the inbound message, how it was read, and when a review is due (R30)."""

    text_id: Sid = Field(
        description="Made of account, sid, sender and recipient; the key of its reviews."
    )
    country: CountryCode | None = Field(default=None, description="The recipient's.")
    suspected: Suspicion
    overdue: Literal["block", "keep"] = Field(
        description="Its effect if it was not reviewed in time."
    )
    due_at: Time | None = Field(
        default=None,
        description="Ten US business days after it came; null: its policy has blocked already.",
    )
    config_version: int | None = Field(default=None, description="None if the service is unknown.")
    aoo_enabled: bool
    at: Time = Field(description="When the message's record was appended.")
