"""An installation without accounts."""

from __future__ import annotations

from collections.abc import Mapping

from processor.wire.credentials import Unopened


class NoTokens:
    """Without accounts, nothing is signed."""

    async def wait_loaded(self) -> None:
        """Nothing to wait for."""

    def token_of(self, account_sid: str) -> None:
        """None."""

    def unopened(self) -> Mapping[str, Unopened]:
        """None."""
        return {}
