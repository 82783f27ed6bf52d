"""opt-out-counts.v1: matches counted by second, for statistics only."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.common import CountryCode, LanguageTag, OptOutType, Record, Sid, Time

SenderType = Literal["long_code", "short_code", "toll_free", "alphanumeric", "whatsapp", "rcs"]


class OptOutCount(Record):
    """The matches of a kind; written after the commit, so a crash may lose or repeat a count."""

    account_sid: Sid
    messaging_service_sid: Sid | None = None
    kind: OptOutType
    country: CountryCode | None = None
    language: LanguageTag | None = None
    keyword: str | None = Field(default=None, description="As configured, never a message's text.")
    sender_type: SenderType | None = None
    count: int = Field(ge=1)
    second: Time
