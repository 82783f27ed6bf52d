"""message-statuses.v1: a send that was refused (R24), whose account ended, or was handed over."""

from __future__ import annotations

import orjson

from processor.core.blocks import Block
from processor.core.gate import ERROR_CODE, ERROR_MESSAGE, SUSPENDED_CODE, SUSPENDED_MESSAGE
from processor.wire.json_values import to_text
from schemas.outbound_message import OutboundMessage


def write_refusal(send: OutboundMessage, block: Block, at_ms: int) -> bytes:
    """The value of a refused send's status."""
    refused_by = {
        "scope": block.scope,
        "since": to_text(block.since_ms),
        "change_id": block.change_id,
        "mark": str(block.mark),
    }
    return _write(send, ERROR_CODE, ERROR_MESSAGE, refused_by, at_ms)


def write_suspended(send: OutboundMessage, at_ms: int) -> bytes:
    """The value of the status of a send whose account is suspended or closed."""
    return _write(send, SUSPENDED_CODE, SUSPENDED_MESSAGE, None, at_ms)


def write_taken(send: OutboundMessage, at_ms: int) -> bytes:
    """The value of the status of a send that its carrier has taken."""
    return _write(send, None, None, None, at_ms, status="sent")


def write_failed(send: OutboundMessage, code: int | None, message: str, at_ms: int) -> bytes:
    """The value of the status of a send that its carrier will never take."""
    return _write(send, code, message, None, at_ms)


def _write(
    send: OutboundMessage,
    code: int | None,
    message: str | None,
    block: dict[str, str] | None,
    at_ms: int,
    *,
    status: str = "failed",
) -> bytes:
    return orjson.dumps(
        {
            "message_sid": send.message_sid,
            "account_sid": send.account_sid,
            "messaging_service_sid": send.messaging_service_sid,
            "from": send.from_,
            "to": send.to,
            "status": status,
            "error_code": code,
            "error_message": message,
            "status_callback": send.status_callback,
            "block": block,
            "at": to_text(at_ms),
        }
    )
