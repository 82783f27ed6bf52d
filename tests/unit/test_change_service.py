"""One use case changes a service, for every kind of caller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from processor.config import Settings
from processor.configuration.accounts import sealing_keys
from processor.configuration.apply import changed, updated
from processor.configuration.change import change_service, create_service, delete_service
from processor.configuration.edits import Edit, edit_of_service
from processor.configuration.new_services import copy_of, new_service
from processor.errors import ConfigError
from schemas.messaging_service import MessagingService, OptOut, PoolSender
from tests.builders import ACCOUNT, LONG_CODE, SERVICE

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
CLINIC = MessagingService(
    sid=SERVICE, account_sid=ACCOUNT, friendly_name="Clinic", version=1, updated_at=NOW
)
SHOP = changed(CLINIC, now=NOW, friendly_name="Shop")


def sticky(before: MessagingService) -> MessagingService:
    return changed(before, now=NOW, sticky_sender=False)


class FencedOnce:
    """A writer whose first decision is not stored, because another writer is faster."""

    def __init__(self) -> None:
        self.stored = CLINIC
        self.edits: list[Edit] = []

    async def update(self, decide: Callable[[], Sequence[Edit]], *, actor: str) -> Sequence[Edit]:
        decide()
        self.stored = SHOP  # by the other writer
        self.edits += decide()
        return self.edits


async def test_the_change_is_of_the_service_as_it_is_when_it_is_stored() -> None:
    writer = FencedOnce()
    after = await change_service(writer, lambda: writer.stored, sticky, actor="cli/a")
    assert (after.friendly_name, after.sticky_sender, after.version) == ("Shop", False, 3)
    assert writer.edits == [edit_of_service(SHOP, after)]


async def test_a_change_of_nothing_writes_nothing() -> None:
    writer = FencedOnce()
    after = await change_service(writer, lambda: writer.stored, lambda one: one, actor="cli/a")
    assert (after, writer.edits) == (SHOP, [])


async def test_what_may_not_be_changed_ends_it() -> None:
    def gone() -> MessagingService:
        raise KeyError(SERVICE)

    writer = FencedOnce()
    with pytest.raises(KeyError):
        await change_service(writer, gone, sticky, actor="cli/a")
    assert writer.edits == []


async def test_a_new_service_is_stored_as_its_first_version() -> None:
    writer = FencedOnce()
    service = new_service("MG9", ACCOUNT, now=NOW, friendly_name="New")
    assert await create_service(writer, service, actor="cli/a") == service
    assert (service.version, service.active, service.senders) == (1, None, [])
    assert (service.created_at, service.updated_at) == (NOW, NOW)
    assert writer.edits == [edit_of_service(None, service)]


def test_a_new_service_has_a_name() -> None:
    with pytest.raises(ValidationError, match="friendly_name"):
        new_service("MG9", ACCOUNT, now=NOW, friendly_name="")


async def test_the_service_that_is_deleted_is_the_one_stored_then() -> None:
    writer = FencedOnce()
    await delete_service(writer, lambda: writer.stored, actor="cli/a")
    assert writer.edits == [edit_of_service(SHOP, None)]


def test_r1_r5_a_copy_has_the_draft_and_neither_senders_nor_anything_in_force() -> None:
    later = NOW + timedelta(days=1)
    draft = OptOut(enabled=True, match="exact")
    before = changed(
        CLINIC, now=NOW, senders=[PoolSender(address=LONG_CODE)], opt_out=draft, active=draft
    )
    copy = copy_of(before, "MG9", "Copy", now=later)
    assert copy == MessagingService(
        sid="MG9",
        account_sid=ACCOUNT,
        friendly_name="Copy",
        opt_out=OptOut(match="exact"),
        version=1,
        created_at=later,
        updated_at=later,
    )


def test_r17_a_field_that_a_reply_uses_is_kept() -> None:
    words = {"standard": {"HELP": {"keywords": ["help"], "reply": "{brand}: STOP ends it."}}}
    clinic = changed(CLINIC, now=NOW, brand="Clinic", opt_out=OptOut.model_validate(words))
    with pytest.raises(ConfigError, match="brand"):
        updated(clinic, brand=None)
    assert updated(clinic, brand="Acme").brand == "Acme"
    assert updated(clinic, friendly_name="Shop").friendly_name == "Shop"


def test_without_a_secret_key_no_token_is_sealed() -> None:
    with pytest.raises(ConfigError, match="OPTOUT_SECRET_KEYS: not set"):
        sealing_keys(Settings(secret_keys=None))
