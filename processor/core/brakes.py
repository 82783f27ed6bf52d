"""The brake on replies: two machines that answer each other must come to an end (R37).

A brake counts the replies of one kind that one sender gave one recipient within an hour. All times
are append times of the messages that were answered, so a replay counts what was counted before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

WINDOW_MS = 3_600_000
CLOCKS_DIFFER_MS = 60_000  # brokers' clocks: a later record may have an earlier time
MOST_REPLIES = 20  # remembered of a brake, and the greatest limit of a service


class Brake(NamedTuple):
    """A brake, as a message asks for it."""

    id: bytes  # 10 bytes; see `identity.brake_of`
    at_ms: int  # when the message was appended


class Reply(NamedTuple):
    """A reply that a brake counts."""

    at_ms: int  # when the message that it answers was appended
    id: bytes  # 4 bytes that distinguish replies of the same time


Replies = tuple[Reply, ...]
"""The replies that a brake counts, the oldest first; at most ``MOST_REPLIES``."""


def lately(replies: Sequence[Reply], at_ms: int) -> int:
    """How many replies a message finds within the hour before it."""
    return sum(at_ms - WINDOW_MS < one.at_ms <= at_ms + CLOCKS_DIFFER_MS for one in replies)


def with_reply(replies: Sequence[Reply], *more: Reply) -> Replies:
    """Remember further replies; forget those that no later message can find.

    Replies that are known already, and their order, make no difference.
    """
    known = sorted({*replies, *more})
    since_ms = forgotten_before_ms(known[-1].at_ms) if known else 0
    return tuple(one for one in known[-MOST_REPLIES:] if one.at_ms > since_ms)


class Recount:
    """Counts replies again from a record of them, oldest first; holds those of about an hour."""

    def __init__(self) -> None:
        self._latest_ms = 0
        self._found: deque[tuple[bytes, Reply]] = deque()

    def add(self, brake: bytes, reply: Reply) -> None:
        """Count a reply; one that was counted already makes no difference."""
        self._found.append((brake, reply))
        self._latest_ms = max(self._latest_ms, reply.at_ms)
        while self._found[0][1].at_ms <= forgotten_before_ms(self._latest_ms):
            self._found.popleft()

    @property
    def replied(self) -> Mapping[bytes, Replies]:
        """Brake id to its replies."""
        found: dict[bytes, list[Reply]] = {}
        for brake, reply in self._found:
            found.setdefault(brake, []).append(reply)
        return {brake: with_reply(replies) for brake, replies in found.items()}


def forgotten_before_ms(at_ms: int) -> int:
    """The time before which replies are found by no message at ``at_ms`` or later."""
    return at_ms - WINDOW_MS - CLOCKS_DIFFER_MS
