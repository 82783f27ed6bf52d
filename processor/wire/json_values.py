"""Reading topic values fast and strictly, and saying in words why one is refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from processor.errors import Problem, RecordError
from schemas.common import (
    PATTERNS,
    Number,
    RecipientAddress,
    SenderAddress,
    Sid,
    Subscriber,
    UserId,
    pattern_of,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_END = len("1970-01-01T00:00:00")
LAST_MS = 253_402_300_799_999  # the end of year 9999, the last that datetime knows
MAX_VALUE_BYTES = 512 * 1024  # with the headers we add, it fits every topic's limit
is_number, is_address, is_subscriber, is_user_id, is_sender, is_sid = (
    re.compile(pattern_of(one)[1:-1]).fullmatch
    for one in (Number, RecipientAddress, Subscriber, UserId, SenderAddress, Sid)
)


def refuse_size(value: bytes | None) -> None:
    """Refuse a missing value, or a value too large to be passed on.

    Raises:
        RecordError: with the reason.
    """
    if value is None:
        raise RecordError("no value: a tombstone has no meaning on this topic")
    if len(value) > MAX_VALUE_BYTES:
        raise RecordError(f"{len(value)} bytes; at most {MAX_VALUE_BYTES} can be passed on")


UNREADABLE = (ValidationError, RecordError)
"""Errors a reader raises for a value that it cannot read; ``why_unreadable`` says why."""


def why_unreadable(error: Exception) -> str:
    """Why a reader refused a value, without the value itself."""
    return reason(error) if isinstance(error, ValidationError) else str(error)


def reason(error: ValidationError) -> str:
    """Why a value was refused, field by field, without the value itself."""
    return "; ".join(reasons(error))


def reasons(error: ValidationError) -> list[str]:
    """Every reason, as ``field: what``."""
    return [str(problem) for problem in problems_in(error)]


def problems_in(error: ValidationError) -> list[Problem]:
    """Every reason with the place of its field; the codes are pydantic's types of errors."""
    return [
        Problem(tuple(map(str, each["loc"])), each["type"], _text(each))
        for each in error.errors(include_url=False, include_input=False)
    ]


def _text(problem: ErrorDetails) -> str:
    match problem["type"]:
        case "json_invalid":
            return f"not JSON: {problem['ctx']['error']}"
        case "missing":
            return "missing"
        case "string_pattern_mismatch":
            return f"is not {PATTERNS.get(problem['ctx']['pattern'], problem['msg'])}"
        case "literal_error" if problem["loc"] == ("schema_version",):
            return f"unknown version; this topic is version {problem['ctx']['expected']}"
        case "value_error" if not problem["loc"]:
            return str(problem["ctx"]["error"])
        case _:
            return str(problem["msg"]) if problem["loc"] else "not a JSON object"


def to_ms(time: datetime) -> int:
    """Milliseconds since 1970 UTC."""
    return round(time.timestamp() * 1000)


def to_text(at_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    second, ms = divmod(at_ms, 1000)
    return f"{_to_second(second)}.{ms:03}Z"


@lru_cache(maxsize=1024)  # messages and their outputs share few
def _to_second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()[:_SECONDS_END]
