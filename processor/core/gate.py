"""Decide whether a send may go out; only here are errors 21610 (R24) and 30002 known."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from processor.core.blocks import Block, Blocks, stops
from processor.core.messages import OutboundSend, Scope

ERROR_CODE = 21610
ERROR_MESSAGE = "Attempt to send to unsubscribed recipient"
SUSPENDED_CODE = 30002
SUSPENDED_MESSAGE = "Account suspended"


@dataclass(frozen=True, slots=True)
class Allowed:
    """The send passes unchanged."""

    except_from: tuple[str, ...] = ()  # blocked senders, if none is chosen yet


@dataclass(frozen=True, slots=True)
class Refused:
    """The send fails with 21610, because of this block."""

    block: Block


@dataclass(frozen=True, slots=True)
class Suspended:
    """The send fails with 30002, because its account is suspended or closed."""


Verdict = Allowed | Refused | Suspended
ALLOWED = Allowed()
SUSPENDED = Suspended()


def judge(send: OutboundSend, blocks: Blocks, pool: Collection[str] = ()) -> Verdict:
    """Judge one send against all blocks of its entry, of any scope (R21, R24).

    Args:
        send: to the entry's recipient, of the entry's account.
        blocks: of the entry.
        pool: addresses of the service's senders; used if the send names no sender. Such a send is
            refused if every sender that can reach the recipient is blocked.
    """
    for block in blocks:
        if stops(block, service_sid=send.service_sid, sender=send.sender):
            return Refused(block)
    if send.sender is not None:
        return ALLOWED
    blocked = {block.target: block for block in blocks if block.scope is Scope.SENDER}
    if not blocked:
        return ALLOWED
    if pool and blocked.keys() >= set(pool):
        return Refused(min((blocked[one] for one in pool), key=lambda block: block.since_ms))
    return Allowed(tuple(sorted(blocked)))
