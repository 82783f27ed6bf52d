"""The special rules of US toll-free senders: their network blocks and unblocks by itself (R20)."""

from __future__ import annotations

from processor.core.messages import SenderType
from processor.core.policy import Match
from processor.core.suspected import UNITED_STATES

NETWORK_COUNTRIES = UNITED_STATES | {"CA"}
_NETWORK_STOP = "stop"
_NETWORK_START = frozenset({"start", "unstop"})


def network_answers(sender_type: SenderType, recipient_country: str | None) -> bool:
    """Whether the toll-free network sees this conversation."""
    return sender_type is SenderType.TOLL_FREE and recipient_country in NETWORK_COUNTRIES


def network_blocks(match: Match, body: str) -> bool:
    """Whether the network itself treats a body as STOP: it knows only the bare word."""
    return _bare(body) == _NETWORK_STOP and match.key == _NETWORK_STOP


def network_unblocks(body: str) -> bool:
    """Whether the network lifts its own block on this body."""
    return _bare(body) in _NETWORK_START


def _bare(body: str) -> str:
    # Unlike keyword matching: the network is not known to read `ＳＴＯＰ` as `stop`.
    return body.strip().lower()
