"""Notifications, block changes and refusals as the console shows them: without bodies."""

from __future__ import annotations

from typing import Any

import orjson

from processor.core.gate import ERROR_CODE
from processor.core.live import LiveEvent, What, masked


def of_notification(value: bytes, at_ms: int) -> LiveEvent:
    """A match."""
    told = orjson.loads(value)
    place = ", ".join(filter(None, (told.get("language") or "standard", told.get("country"))))
    effect = "" if told["effective"] else ", no effect"
    text = f"{told['kind']} by “{told['keyword']}” ({place}), reply: {told['reply_sent']}{effect}"
    return _event("match", told, told["from"], at_ms, text)


def of_change(value: bytes, at_ms: int) -> LiveEvent:
    """A change of the block list."""
    told = orjson.loads(value)
    did = "Blocked" if told["blocked"] else "Unblocked"
    text = f"{did} for the {told['scope']}, by {told['cause']['source']}"
    return _event("change", told, told["recipient"], at_ms, text)


def of_status(value: bytes, at_ms: int) -> LiveEvent | None:
    """A refusal of the gate; None for what carriers tell, which most are."""
    if str(ERROR_CODE).encode() not in value:
        return None
    told = orjson.loads(value)
    if told.get("error_code") != ERROR_CODE or not told.get("block"):
        return None
    text = f"Failed with {ERROR_CODE}: blocked for the {told['block']['scope']}"
    return _event("refusal", told, told["to"], at_ms, text)


def _event(what: What, told: dict[str, Any], recipient: str, at_ms: int, text: str) -> LiveEvent:
    service_sid = told.get("messaging_service_sid")
    return LiveEvent(at_ms, told["account_sid"], service_sid, what, masked(recipient), text)
