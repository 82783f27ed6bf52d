"""What the console shows in tests and pictures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from processor.config import Settings
from processor.kafka.configuration import configuration
from processor.wire.configuration import edit_of_service
from processor.wire.json_values import to_text
from schemas.messaging_service import MessagingService
from tests.api import create_accounts, with_secrets
from tests.builders import ACCOUNT, LONG_CODE, SERVICE, SHORT_CODE

_REGISTERED = {"HELP": {"keywords": ["help"], "reply": "Clinic alerts. Reply STOP to end."}}


async def with_a_service(settings: Settings, *, created_hours_ago: int = 0) -> Settings:
    """The settings of an installation that has an account with one service."""
    now = datetime.now(UTC)
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    service = MessagingService.model_validate(
        {
            "sid": SERVICE,
            "account_sid": ACCOUNT,
            "friendly_name": "Clinic",
            "senders": [
                {"address": LONG_CODE},
                {"address": SHORT_CODE, "registered": _REGISTERED},
            ],
            "version": 1,
            "created_at": now - timedelta(hours=created_hours_ago),
            "updated_at": now,
        }
    )
    async with configuration(settings) as stored:
        await stored.update(lambda: [edit_of_service(None, service)], actor="test")
    return settings


def a_count(now_ms: int, hours_ago: int, count: int, **changes: Any) -> dict[str, Any]:
    """A record of `opt-out-counts`: opt-outs of the service by its standard keywords."""
    fields = {
        "account_sid": ACCOUNT,
        "messaging_service_sid": SERVICE,
        "kind": "STOP",
        "count": count,
        "second": to_text(now_ms - hours_ago * 3_600_000),
        "to": SERVICE,  # what the tests' writer takes for its key
    }
    return fields | changes
