"""The stages' view of accounts: which of them have ended, for a time or for good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol


class Accounts(Protocol):
    """The accounts, followed live."""

    @property
    def ended(self) -> Mapping[str, Literal["active", "suspended", "closed"]]:
        """The status of each account that is not active, by its sid; updated in place."""
        ...

    async def wait_loaded(self) -> None:
        """Wait until the accounts are known."""
        ...


class AllActive:
    """Treats every account as active."""

    ended: Mapping[str, Literal["active", "suspended", "closed"]] = {}

    async def wait_loaded(self) -> None:
        """Return at once."""
