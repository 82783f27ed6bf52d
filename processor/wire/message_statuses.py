"""message-statuses.v1: the failure of a send that the gate refused (R24)."""

from __future__ import annotations

import orjson

from processor.core.blocks import Block
from processor.core.gate import ERROR_CODE, ERROR_MESSAGE
from processor.wire.json_values import to_text
from schemas.outbound_message import OutboundMessage


def write_refusal(send: OutboundMessage, block: Block, at_ms: int) -> bytes:
    """The value of a refused send's status."""
    return orjson.dumps(
        {
            "message_sid": send.message_sid,
            "account_sid": send.account_sid,
            "messaging_service_sid": send.messaging_service_sid,
            "from": send.from_,
            "to": send.to,
            "status": "failed",
            "error_code": ERROR_CODE,
            "error_message": ERROR_MESSAGE,
            "status_callback": send.status_callback,
            "block": {
                "scope": block.scope,
                "since": to_text(block.since_ms),
                "change_id": block.change_id,
                "mark": str(block.mark),
            },
            "at": to_text(at_ms),
        }
    )
