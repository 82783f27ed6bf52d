"""send-counts.v1: judged sends, counted by service and verdict, for statistics only."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.common import Record, Sid, Time


class SendCount(Record):
    """The sends with one verdict; written after the commit, so a crash may lose or repeat some."""

    account_sid: Sid
    messaging_service_sid: Sid | None = None
    verdict: Literal["allowed", "refused", "suspended"]
    count: int = Field(ge=1)
    since: Time = Field(description="When the ten seconds began in which they were judged.")
