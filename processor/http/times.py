"""Times in the formats of Twilio's APIs."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime


def time_v1(at: datetime) -> str:
    """Write a time as v1 does: ``2015-07-30T20:12:31Z``, without a fraction."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def time_2010(at: datetime) -> str:
    """Write a time as 2010-04-01 does: RFC 2822, ``Thu, 30 Jul 2015 20:12:31 +0000``."""
    return format_datetime(at.astimezone(UTC))


def time_of(at_ms: int) -> datetime:
    """Read a time that is stored in milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)
