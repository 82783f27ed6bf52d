"""Records of the webhooks lane, and its stage."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from processor.core.services import Directory
from processor.metrics import Metrics
from processor.stages.deliver_webhooks import DeliverWebhooks
from processor.webhooks.circuit import CircuitRules
from processor.webhooks.client import Client, Limits
from processor.webhooks.endpoint import Endpoints, Rules
from processor.webhooks.retries import RetryRules
from processor.wire.topics import Topics
from tests.builders import ACCOUNT, LONG_CODE, MESSAGE, RECIPIENT, SERVICE
from tests.tokens import NoTokens

TOPICS = Topics.under("")
URL = "https://user:secret@example.com/inbound/x?y=1"
AT = datetime(2026, 11, 2, 12, 0, 0, 123456, tzinfo=UTC)


def a_delivery(**changes: Any) -> bytes:
    """A value of webhook-deliveries.v1: the clinic's text, to be passed on."""
    fields = {
        "delivery_id": f"{MESSAGE}.inbound",
        "account_sid": ACCOUNT,
        "messaging_service_sid": SERVICE,
        "message_sid": MESSAGE,
        "url": URL,
        "parameters": {"From": RECIPIENT, "To": LONG_CODE, "SmsStatus": "received"},
    }
    return json.dumps(fields | changes).encode()


def a_status(**changes: Any) -> bytes:
    """A value of message-statuses.v1: a send that a carrier did not deliver."""
    fields = {
        "message_sid": MESSAGE,
        "account_sid": ACCOUNT,
        "from": LONG_CODE,
        "to": RECIPIENT,
        "status": "undelivered",
        "error_code": 30003,
        "at": "2026-11-02T12:00:00.000Z",
    }
    return json.dumps(fields | changes).encode()


def a_record(topic: str, value: bytes | None) -> Any:
    """A record as a consumer hands it on."""
    return SimpleNamespace(
        topic=topic,
        partition=0,
        offset=7,
        timestamp=1_793_620_800_000,
        key=RECIPIENT.encode(),
        value=value,
        headers=(),
    )


def a_stage(directory: Directory | None = None) -> DeliverWebhooks:
    """The stage, its clock at AT."""
    counts: Counter[str] = Counter()
    services: Any = SimpleNamespace(directory=directory or Directory())
    return DeliverWebhooks(
        topics=TOPICS,
        services=services,
        tokens=NoTokens(),
        client=Client((), Limits(1, 1)),
        endpoints=Endpoints(Rules(1, 1, 2, CircuitRules(10, 1)), counts),
        rules=RetryRules(3, 1, 27),
        counts=counts,
        request_seconds=Metrics().webhook_request_seconds,
        clock=lambda: AT,
    )
