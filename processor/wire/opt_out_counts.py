"""opt-out-counts.v1: how often a kind was matched in a second."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from processor.core.events import OptOutNotification
from processor.core.messages import OptOutType, sender_type_of
from processor.errors import RecordError
from processor.statistics import hourly, sums
from processor.wire.json_values import is_sid, to_ms, to_text
from processor.wire.quick_reader import SID, TIME, QuickReader, one_by_one
from schemas.opt_out_count import OptOutCount

_MOST = 1_000_000_000
_LONGEST_TAG = 36
_READER = QuickReader(
    OptOutCount,
    {
        "account_sid": SID,
        "messaging_service_sid": one_by_one(lambda sid: sid is None or is_sid(sid)),
        "language": one_by_one(lambda tag: len(tag or "") < _LONGEST_TAG),
        "second": TIME,
    },
)


def read_model(value: bytes) -> OptOutCount:
    """A record whole.

    Raises:
        pydantic.ValidationError: where it is not a count.
        RecordError: where it counts more than a second can have.
    """
    one = _READER.read(value)
    if one.count > _MOST:
        raise RecordError(f"count: more than {_MOST} in a second")
    return one


def read(value: bytes) -> hourly.Counted:
    """A record, for the figures by the hour; its country is not used there.

    Raises:
        pydantic.ValidationError, RecordError: see ``read_model``.
    """
    one = read_model(value)
    series = hourly.Series(
        one.account_sid, one.messaging_service_sid, OptOutType(one.kind), one.language
    )
    return hourly.Counted(series, one.count, to_ms(one.second))


def read_sums(value: bytes) -> sums.Counted:
    """A record, for the sums of days and months.

    Raises:
        pydantic.ValidationError, RecordError: see ``read_model``.
    """
    one = read_model(value)
    parts = {"language": one.language, "keyword": one.keyword, "sender_type": one.sender_type}
    return sums.Counted(
        one.account_sid,
        one.messaging_service_sid,
        one.kind,
        one.count,
        to_ms(one.second),
        tuple((part, name) for part, name in parts.items() if name is not None),
    )


class Counted(NamedTuple):
    """The key of a count: matches with equal fields are counted together."""

    account_sid: str
    service_sid: str | None
    kind: OptOutType
    country: str | None  # of the override that matched
    language: str | None
    keyword: str | None  # as configured
    sender_type: str | None


def counted_of(notification: OptOutNotification) -> Counted:
    """The key that a match is counted under."""
    match = notification.match
    return Counted(
        notification.message.account_sid,
        notification.service_sid,
        match.kind,
        match.country,
        match.language,
        match.keyword,
        sender_type_of(notification.message.sender),
    )


def write(counted: Counted, count: int, second_ms: int) -> tuple[bytes, bytes]:
    """Key and value; where no service is known the account stands for it in the key."""
    value = {
        "account_sid": counted.account_sid,
        "messaging_service_sid": counted.service_sid,
        "kind": counted.kind,
        "country": counted.country,
        "language": counted.language,
        "keyword": counted.keyword,
        "sender_type": counted.sender_type,
        "count": count,
        "second": to_text(second_ms),
    }
    return (counted.service_sid or counted.account_sid).encode(), orjson.dumps(value)
