"""Notifications, block changes and refusals as the console shows them: without bodies."""

from __future__ import annotations

from processor.core.gate import ERROR_CODE
from processor.errors import RecordError
from processor.statistics.live import LiveEvent, What, masked
from processor.wire.json_values import LAST_MS
from schemas.block_change import BlockChange
from schemas.message_status import MessageStatus
from schemas.opt_out_notification import OptOutNotification

_REFUSED = str(ERROR_CODE).encode()
_SHOWN = 64  # characters of a keyword that a customer chose


def of_notification(value: bytes, at_ms: int) -> LiveEvent:
    """A match."""
    told = OptOutNotification.model_validate_json(value)
    place = ", ".join(filter(None, (told.language or "standard", told.country)))
    effect = "" if told.effective else ", no effect"
    braked = " (limit reached)" if told.braked else ""
    keyword = told.keyword[:_SHOWN]
    text = f"{told.kind} by “{keyword}” ({place}), reply: {told.reply_sent}{braked}{effect}"
    return _event("match", told, told.from_, at_ms, text)


def of_change(value: bytes, at_ms: int) -> LiveEvent:
    """A change of the block list."""
    told = BlockChange.model_validate_json(value)
    did = "Blocked" if told.blocked else "Unblocked"
    text = f"{did} for the {told.scope}, by {told.cause.source[:_SHOWN]}"
    return _event("change", told, told.recipient, at_ms, text)


def of_status(value: bytes, at_ms: int) -> LiveEvent | None:
    """A refusal of the gate; None for what carriers tell, which most are."""
    if _REFUSED not in value:
        return None
    told = MessageStatus.model_validate_json(value)
    if told.error_code != ERROR_CODE or not told.block:
        return None
    text = f"Failed with {ERROR_CODE}: blocked for the {told.block.scope}"
    return _event("refusal", told, told.to, at_ms, text)


def _event(
    what: What,
    told: OptOutNotification | BlockChange | MessageStatus,
    recipient: str,
    at_ms: int,
    text: str,
) -> LiveEvent:
    if not 0 <= at_ms <= LAST_MS:
        raise RecordError("its timestamp is out of range")
    service_sid = told.messaging_service_sid
    return LiveEvent(at_ms, told.account_sid, service_sid, what, masked(recipient), text)
