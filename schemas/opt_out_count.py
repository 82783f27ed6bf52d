"""opt-out-counts.v1: matches counted by second, for statistics only."""

from __future__ import annotations

from pydantic import Field

from schemas.common import CountryCode, LanguageTag, OptOutType, Record, Sid, Time


class OptOutCount(Record):
    """The matches of a kind; written after the commit, so a crash may lose or repeat a count."""

    account_sid: Sid
    messaging_service_sid: Sid | None = None
    kind: OptOutType
    country: CountryCode | None = None
    language: LanguageTag | None = None
    count: int = Field(ge=1)
    second: Time
