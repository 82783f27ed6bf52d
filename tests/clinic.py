"""A clinic and its patient: the service, what the patient texts, what the clinic sends."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Any

from processor.config import Settings
from processor.configuration.apply import apply
from processor.configuration.edits import edit_of_service
from processor.kafka.topics.configuration_writer import configuration
from processor.wire.json_values import to_text
from tests.builders import ACCOUNT, LONG_CODE, NOW, RECIPIENT

CLINIC = {
    "sid": "MGclinic",
    "account_sid": ACCOUNT,
    "friendly_name": "Clinic reminders",
    "senders": [{"address": LONG_CODE}],
    "opt_out": {
        "enabled": True,
        "standard": {"STOP": {"keywords": ["stop", "halt"], "reply": "You are out."}},
    },
}


def a_text(sid: str, body: str, **changes: Any) -> dict[str, Any]:
    """The patient's text to the clinic, a value of inbound-messages.v1."""
    fields = {
        "message_sid": sid,
        "account_sid": ACCOUNT,
        "from": RECIPIENT,
        "to": LONG_CODE,
        "body": body,
        "received_at": to_text(time.time_ns() // 1_000_000),
    }
    return fields | changes


def a_send(sid: str, **changes: Any) -> dict[str, Any]:
    """The clinic's send to the patient, a value of outbound-messages.v1."""
    fields = {
        "message_sid": sid,
        "account_sid": ACCOUNT,
        "from": LONG_CODE,
        "to": RECIPIENT,
        "body": "Your appointment is tomorrow.",
        "created_at": NOW,
    }
    return fields | changes


async def configure(settings: Settings, *documents: dict[str, Any]) -> None:
    """Save services; each is given as a document of `services.yaml`."""
    async with configuration(settings) as stored:
        before = stored.services.all()
        applied = apply(
            documents, before, now=datetime.now(UTC), new_sid=lambda: f"MG{uuid.uuid4().hex}"
        )
        assert not applied.problems
        await stored.update(
            lambda: [edit_of_service(before.get(one.sid), one) for one in applied.changed.values()],
            actor="test",
        )
