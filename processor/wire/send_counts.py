"""send-counts.v1: how many sends of a service were allowed, or failed, in ten seconds."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from processor.errors import RecordError
from processor.statistics.sums import Counted
from processor.wire.json_values import is_sid, to_ms, to_text
from processor.wire.quick_reader import SID, TIME, QuickReader, one_by_one
from schemas.send_count import SendCount

EVERY_S = 10
_MOST = 1_000_000_000
_READER = QuickReader(
    SendCount,
    {
        "account_sid": SID,
        "messaging_service_sid": one_by_one(lambda sid: sid is None or is_sid(sid)),
        "since": TIME,
    },
)


class Judged(NamedTuple):
    """The key of a count: sends with equal fields are counted together."""

    account_sid: str
    service_sid: str | None  # None: no service is known for the sender
    verdict: str


def read(value: bytes) -> Counted:
    """A record, for the sums.

    Raises:
        pydantic.ValidationError: where it is not a count.
        RecordError: where it counts more than ten seconds can have.
    """
    one = _READER.read(value)
    if one.count > _MOST:
        raise RecordError(f"count: more than {_MOST} in {EVERY_S} seconds")
    return Counted(
        one.account_sid, one.messaging_service_sid, one.verdict, one.count, to_ms(one.since)
    )


def write(judged: Judged, count: int, since_ms: int) -> tuple[bytes, bytes]:
    """Key and value; where no service is known the account stands for it in the key."""
    value = {
        "account_sid": judged.account_sid,
        "messaging_service_sid": judged.service_sid,
        "verdict": judged.verdict,
        "count": count,
        "since": to_text(since_ms),
    }
    return (judged.service_sid or judged.account_sid).encode(), orjson.dumps(value)
