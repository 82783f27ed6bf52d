"""One use case changes a service, for every kind of caller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from processor.configuration.apply import changed
from processor.configuration.change import change_service
from processor.configuration.edits import Edit, edit_of_service
from schemas.messaging_service import MessagingService
from tests.builders import ACCOUNT, SERVICE

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
