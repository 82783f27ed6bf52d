"""Create, change and delete a service, for the API, the console and the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from processor.configuration.edits import Edit, edit_of_service
from schemas.messaging_service import MessagingService


class Writer(Protocol):
    """Where edits are stored, one writer at a time."""

    async def update(self, decide: Callable[[], Sequence[Edit]], *, actor: str) -> Sequence[Edit]:
        """Store what is decided from the configuration as it is; ``decide`` may be called again."""
        ...


async def create_service(
    stored: Writer, service: MessagingService, *, actor: str
) -> MessagingService:
    """Store a new service, and return it.

    Raises:
        BrokerUnavailable: where the broker does not take it; whether it is stored is unknown.
        EditRefused: where its account may not have it.
    """
    await stored.update(lambda: [edit_of_service(None, service)], actor=actor)
    return service


async def delete_service(
    stored: Writer, find: Callable[[], MessagingService], *, actor: str
) -> None:
    """Delete a service; its senders become free for other services, and blocks stay.

    Args:
        stored: the configuration.
        find: reads the service, and refuses by an exception where it may not be deleted.
        actor: the person or program that asks for it.

    Raises:
        BrokerUnavailable: where the broker does not take it; also whatever ``find`` raises.
    """
    await stored.update(lambda: [edit_of_service(find(), None)], actor=actor)


async def change_service(
    stored: Writer,
    find: Callable[[], MessagingService],
    change: Callable[[MessagingService], MessagingService],
    *,
    actor: str,
) -> MessagingService:
    """Change a service as it is now; nothing is written where the change leaves it the same.

    Args:
        stored: the configuration.
        find: reads the service, and refuses by an exception where it may not be changed.
        change: makes the new service. Both may be called again if another writer was first.
        actor: the person or program that asks for it.

    Returns:
        The service afterwards.

    Raises:
        BrokerUnavailable: where the broker does not take it; whether it is stored is unknown.
        ConfigError: where the result breaks a rule; also whatever ``find`` and ``change`` raise.
    """
    after: MessagingService | None = None

    def decide() -> list[Edit]:
        nonlocal after
        before = find()
        after = change(before)
        return [edit_of_service(before, after)] if after != before else []

    await stored.update(decide, actor=actor)
    assert after is not None  # the writer decides before it returns
    return after
