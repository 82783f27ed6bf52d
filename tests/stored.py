"""Accounts and services as they are stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from processor.config import load
from processor.configuration.edits import (
    Edit,
    edit_of_service,
)
from processor.kafka.topics.configuration_writer import Configuration
from schemas.account import Account, ApiKey
from schemas.messaging_service import MessagingService, PoolSender
from tests.builders import (
    ACCOUNT,
    SERVICE,
)

AT = datetime(2026, 11, 2, tzinfo=UTC)
HASH = "scrypt$14$8$1$c2FsdA==$aGFzaA=="


def a_stored_service(sid: str = SERVICE, *senders: str, **changes: Any) -> MessagingService:
    """A service with these senders."""
    fields = {
        "sid": sid,
        "account_sid": ACCOUNT,
        "friendly_name": sid,
        "senders": [PoolSender(address=address) for address in senders],
        "version": 1,
        "created_at": AT,
        "updated_at": AT,
    }
    return MessagingService(**{**fields, **changes})


def an_account(keys: int = 0, **changes: Any) -> Account:
    """An account with this many API keys."""
    fields = {
        "sid": ACCOUNT,
        "friendly_name": "Clinic",
        "token_hash": HASH,
        "sealed_token": "",
        "api_keys": [
            ApiKey(sid=f"SK{number:032}", friendly_name="k", secret_hash=HASH, created_at=AT)
            for number in range(keys)
        ],
        "created_at": AT,
        "updated_at": AT,
    }
    return Account(**{**fields, **changes})


def stored(*edits: Edit, **limits: int) -> Configuration:
    """The configuration after edits, as its followers pass them on."""
    made = Configuration(load(**{f"account_{name}": limit for name, limit in limits.items()}))
    take(made, *edits)
    return made


def take(made: Configuration, *edits: Edit) -> None:
    """Hand edits on, as the followers of the configuration do."""
    for edit in edits:
        topic: Any = made._views[edit.kind].topic
        topic._take({edit.sid: topic._read_value(edit.value) if edit.value else None})


def created(*services: MessagingService) -> list[Edit]:
    """The edits that create services."""
    return [edit_of_service(None, service) for service in services]


def one_more_sender(stored: Configuration, sid: str, address: str) -> list[Edit]:
    """The edit that adds a sender to a service."""
    found = stored.services.get(sid)
    assert found is not None
    before = found.whole()
    senders = [*before.senders, PoolSender(address=address)]
    after = before.model_copy(update={"senders": senders, "version": before.version + 1})
    return [edit_of_service(before, after)]
