"""opt-out-counts.v1: how often a kind was matched in a second."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import orjson

from processor.core import hourly
from processor.core.events import OptOutNotification
from processor.core.messages import OptOutType
from processor.wire.json_values import quick_decoder, to_ms, to_text
from schemas.opt_out_count import OptOutCount

_quick = quick_decoder(OptOutCount)


def read(value: bytes) -> hourly.Counted:
    """A record, for the figures by the hour; its country is of no use there.

    Raises:
        pydantic.ValidationError: where it is no count.
    """
    try:
        one = _quick(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        one = OptOutCount.model_validate_json(value)
    series = hourly.Series(
        one.account_sid, one.messaging_service_sid, OptOutType(one.kind), one.language
    )
    return hourly.Counted(series, one.count, to_ms(one.second))


class Counted(NamedTuple):
    """What is counted apart."""

    account_sid: str
    service_sid: str | None
    kind: OptOutType
    country: str | None  # of the override that matched
    language: str | None


def counted_of(notification: OptOutNotification) -> Counted:
    """What a match counts as."""
    match = notification.match
    return Counted(
        notification.message.account_sid,
        notification.service_sid,
        match.kind,
        match.country,
        match.language,
    )


def write(counted: Counted, count: int, second_ms: int) -> tuple[bytes, bytes]:
    """Key and value; where no service is known the account stands for it in the key."""
    value = {
        "account_sid": counted.account_sid,
        "messaging_service_sid": counted.service_sid,
        "kind": counted.kind,
        "country": counted.country,
        "language": counted.language,
        "count": count,
        "second": to_text(second_ms),
    }
    return (counted.service_sid or counted.account_sid).encode(), orjson.dumps(value)
