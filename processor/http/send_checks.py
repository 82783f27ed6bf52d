"""Whether a send would be refused now, for requests that ask before they send."""

from __future__ import annotations

from processor.core import gate
from processor.core.messages import OutboundSend, entry_of
from processor.errors import RetryableError
from processor.http.backend import Backend
from processor.http.errors import ApiError
from processor.http.recipients import look
from processor.wire import blocks as wire_blocks

_HINT_S = 0.5  # the gate judges all the same


def holder_of(backend: Backend, account_sid: str, sender: str | None) -> str | None:
    """Find the service that has a sender in its pool (R1)."""
    holder = backend.configuration.services.holder_of(account_sid, sender) if sender else None
    return holder.head.sid if holder else None


async def is_refused(backend: Backend, account_sid: str, sender: str, recipient: str) -> bool:
    """Whether the gate would refuse a send now; False if the list cannot be trusted."""
    send = OutboundSend("", account_sid, holder_of(backend, account_sid, sender), sender, recipient)
    try:
        (found,) = await look(backend, [entry_of(account_sid, recipient)], within_s=_HINT_S)
    except (ApiError, RetryableError):
        return False  # the gate waits, then judges
    return isinstance(gate.judge(send, wire_blocks.readable(found.value)), gate.Refused)
