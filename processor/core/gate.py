"""Whether a send may go out: the only place that knows error 21610 (R24)."""

from __future__ import annotations

from dataclasses import dataclass

from processor.core.blocks import Block, Blocks, stops
from processor.core.messages import OutboundSend

ERROR_CODE = 21610
ERROR_MESSAGE = "Attempt to send to unsubscribed recipient"


@dataclass(frozen=True, slots=True)
class Allowed:
    """The send goes on unchanged."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The send fails with 21610, because of this block."""

    block: Block


Verdict = Allowed | Refused
ALLOWED = Allowed()


def judge(send: OutboundSend, blocks: Blocks) -> Verdict:
    """Judge one send against all blocks of its recipient, of any scope (R21, R24)."""
    for block in blocks:
        if stops(
            block,
            account_sid=send.account_sid,
            service_sid=send.service_sid,
            sender=send.sender,
        ):
            return Refused(block)
    return ALLOWED
