"""Where Redis keeps the replies that brakes count: a hash for each hour (R37).

A brake's replies are in the hash of the latest one's hour. Times are append times, so the hours are
those of the topic, however late it is read. A hash is dropped once no message can find its replies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from processor.core.brakes import (
    CLOCKS_DIFFER_MS,
    WINDOW_MS,
    Brake,
    Replies,
    Reply,
    forgotten_before_ms,
    with_reply,
)

BRAKE_BYTES = 10
_TIME_BYTES, _REPLY_BYTES = 6, 10
_DROPPED = 6  # hours that a batch drops; where it leaves some, they expire

Hours = Mapping[int, Mapping[bytes, bytes]]
"""Hour to the values of its hash by brake; b"" for a brake without replies there."""


def hour_of(at_ms: int) -> int:
    """The hour of an append time."""
    return at_ms // WINDOW_MS


def asked_of(brakes: Iterable[Brake]) -> Mapping[int, Sequence[bytes]]:
    """Hour to the brakes that may have replies there which count."""
    asked: dict[int, dict[bytes, None]] = defaultdict(dict)
    # Each run of the same hours at once; a batch has few.
    for (first, last), ones in groupby(brakes, _hours_of):
        ids = dict.fromkeys([one.id for one in ones])
        for hour in range(first, last + 1):
            asked[hour] |= ids
    return {hour: list(ids) for hour, ids in asked.items()}


def _hours_of(brake: Brake) -> tuple[int, int]:
    """The first and the last hour in which replies may be that a brake counts."""
    _, at_ms = brake
    return at_ms // WINDOW_MS - 1, (at_ms + CLOCKS_DIFFER_MS) // WINDOW_MS


def found_in(values: Iterable[tuple[bytes, bytes]]) -> dict[bytes, Replies]:
    """The replies of each brake, from all hours."""
    found: dict[bytes, Replies] = {}
    for brake, value in values:
        found[brake] = with_reply(found.get(brake, ()), *unpacked(value))
    return found


def placed(replied: Mapping[bytes, Sequence[Reply]]) -> Hours:
    """The values that hold the replies of brakes; a brake without replies is left out."""
    hours: dict[int, dict[bytes, bytes]] = defaultdict(dict)
    for brake, replies in replied.items():
        if replies:
            hours[hour_of(replies[-1].at_ms)][brake] = packed(replies)
    return hours


def undoing(after: Hours, before: Mapping[bytes, Sequence[Reply]]) -> Hours:
    """The values that put back what brakes counted before a batch."""
    return {
        hour: {brake: packed(before[brake]) if before.get(brake) else b"" for brake in values}
        for hour, values in after.items()
    }


def dropped_at(since_ms: int | None) -> range:
    """The hours that no message from ``since_ms`` on, nor a try of it again, can find."""
    if since_ms is None:
        return range(0)
    least = hour_of(forgotten_before_ms(since_ms))
    return range(least - _DROPPED, least)


def packed(replies: Sequence[Reply]) -> bytes:
    """The value of a brake: 10 bytes a reply, at most 200."""
    if len(replies) == 1:  # as of nearly all
        [(at_ms, id_)] = replies
        return at_ms.to_bytes(_TIME_BYTES) + id_
    return b"".join([one.at_ms.to_bytes(_TIME_BYTES) + one.id for one in replies])


def unpacked(value: bytes) -> Replies:
    """Read the value of a brake."""
    return tuple(
        Reply(
            int.from_bytes(value[at : at + _TIME_BYTES]),
            value[at + _TIME_BYTES : at + _REPLY_BYTES],
        )
        for at in range(0, len(value), _REPLY_BYTES)
    )


def joined(values: Mapping[bytes, bytes]) -> bytes:
    """The values of an hour as the scripts take them: brake, length of the value, value."""
    return b"".join([brake + len(value).to_bytes(1) + value for brake, value in values.items()])
