"""The headers of emitted events: CloudEvents attributes in binary mode."""

from __future__ import annotations

from typing import assert_never

from processor.core.events import (
    BlockChange,
    Event,
    OptOutNotification,
    ReplySend,
    SuspectedOptOut,
    WebhookDelivery,
)
from processor.core.identity import id_behind, send_id
from processor.wire.json_values import to_text
from schemas import cloud_events as names
from schemas.outbound_message import OutboundMessage

_TYPES = tuple(kind for kinds in names.TYPES.values() for kind in kinds)


class CloudEvents:
    """Makes the headers of an installation's events.

    Args:
        source: of the events, a URI reference; an id is unique within it.
    """

    def __init__(self, source: str) -> None:
        # Most headers never change: they are made once.
        self._constant = {
            kind: (
                ("ce_specversion", names.SPEC_VERSION.encode()),
                ("ce_type", kind.encode()),
                ("ce_source", source.encode()),
                ("content-type", names.CONTENT_TYPE.encode()),
            )
            for kind in _TYPES
        }

    def of(self, event: Event) -> list[tuple[str, bytes | None]]:
        """The headers of what match emits; a replay of its cause makes the same again."""
        match event:
            case BlockChange():
                kind = names.RECIPIENT_BLOCKED if event.blocked else names.RECIPIENT_UNBLOCKED
                return self._headers(kind, event.change_id, event.at_ms)
            case ReplySend():
                kind, id_ = names.REPLY_REQUESTED, event.reply_sid
            case OptOutNotification():
                kind, id_ = names.KEYWORD_MATCHED, id_behind(event.message, "matched")
            case SuspectedOptOut():
                kind, id_ = names.OPT_OUT_SUSPECTED, id_behind(event.message, "suspected")
            case WebhookDelivery():
                kind, id_ = names.WEBHOOK_REQUESTED, id_behind(event.message, "inbound")
            case _:
                assert_never(event)
        return self._headers(kind, id_, event.message.received_at_ms)

    def of_refusal(self, send: OutboundMessage, at_ms: int) -> list[tuple[str, bytes | None]]:
        """The headers of a refused send's status."""
        return self._headers(
            names.SEND_REFUSED,
            send_id(send.account_sid, send.message_sid, send.from_, send.to, "refused"),
            at_ms,
        )

    def _headers(self, kind: str, id_: str, at_ms: int) -> list[tuple[str, bytes | None]]:
        return [
            *self._constant[kind],
            ("ce_id", id_.encode()),
            ("ce_time", to_text(at_ms).encode()),
        ]
