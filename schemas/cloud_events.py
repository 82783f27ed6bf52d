"""CloudEvents 1.0 attributes, in binary mode: the headers of the processor's events.

`TYPES` has the topics that carry them, and a name in the past tense for each event.
"""

from __future__ import annotations

from typing import Any

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
PREFIX = "io.optout."

KEYWORD_MATCHED = f"{PREFIX}keyword.matched.v1"
RECIPIENT_BLOCKED = f"{PREFIX}recipient.blocked.v1"
RECIPIENT_UNBLOCKED = f"{PREFIX}recipient.unblocked.v1"
REPLY_REQUESTED = f"{PREFIX}reply.requested.v1"
OPT_OUT_SUSPECTED = f"{PREFIX}text.suspected.v1"
SEND_REFUSED = f"{PREFIX}send.refused.v1"
WEBHOOK_REQUESTED = f"{PREFIX}webhook.requested.v1"

TYPES = {
    "opt-out-notifications.v1": (KEYWORD_MATCHED,),
    "suspected-opt-outs.v1": (OPT_OUT_SUSPECTED,),
    "block-changes.v1": (RECIPIENT_BLOCKED, RECIPIENT_UNBLOCKED),
    "reply-sends.v1": (REPLY_REQUESTED,),
    "message-statuses.v1": (SEND_REFUSED,),  # the gate's; carriers may write others
    "webhook-deliveries.v1": (WEBHOOK_REQUESTED,),
}
"""The ``ce_type`` values that a topic's records may have."""


def header_schema(topic: str) -> dict[str, Any]:
    """Make the JSON Schema of a topic's headers, whose values are UTF-8 bytes."""
    described: dict[str, dict[str, Any]] = {
        "ce_specversion": {"const": SPEC_VERSION},
        "ce_type": {"enum": list(TYPES[topic])},
        "ce_source": {"format": "uri-reference", "description": "The installation."},
        "ce_id": {"description": "The same at every replay; with ce_source, unique."},
        "ce_time": {"format": "date-time", "description": "Time of the event, in UTC."},
        "content-type": {"const": CONTENT_TYPE},
    }
    return {
        "type": "object",
        "required": list(described),
        "properties": {name: {"type": "string", **about} for name, about in described.items()},
    }
