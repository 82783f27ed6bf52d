"""The accounts, followed live: who may use the API, and with what their webhooks are signed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from processor.config import Settings
from processor.kafka.compacted import CompactedTopic
from processor.metrics import Metrics
from processor.wire.configuration import Status, write_account
from processor.wire.credentials import unseal
from schemas.account import Account


class AccountsView:
    """Every account by its sid and by its API keys' sids."""

    def __init__(self, settings: Settings, topic: str, metrics: Metrics | None = None) -> None:
        self.topic = CompactedTopic(
            settings,
            topic,
            "accounts",
            read=Account.model_validate_json,
            sid_of=lambda account: account.sid,
            take=self._take,
            metrics=metrics,
        )
        self._key = settings.sealing_key()
        self._accounts: dict[str, Account] = {}
        self._of_key: dict[str, str] = {}
        self._tokens: dict[str, str | None] = {}
        self.ended: dict[str, Status] = {}  # by sid, of those that are not active; altered in place

    def value_of(self, sid: str) -> bytes | None:
        """What the topic holds for a sid."""
        found = self._accounts.get(sid)
        return write_account(found) if found else None

    def get(self, sid: str) -> Account | None:
        """An account."""
        return self._accounts.get(sid)

    def of_key(self, key_sid: str) -> Account | None:
        """The account that an API key belongs to."""
        return self._accounts.get(self._of_key.get(key_sid, ""))

    def all(self) -> list[Account]:
        """Every account, by its sid."""
        return [self._accounts[sid] for sid in sorted(self._accounts)]

    async def wait_loaded(self) -> None:
        """Wait until everything that was there at the start has been read."""
        await self.topic.wait_loaded()

    def token_of(self, account_sid: str) -> str | None:
        """The token that an account's webhooks are signed with.

        None where the account is not known, or OPTOUT_SECRET_KEY is not the key it was sealed with.
        """
        if account_sid not in self._tokens:
            account = self._accounts.get(account_sid)
            if account is None or self._key is None:
                return None
            self._tokens[account_sid] = None
            with suppress(ValueError):  # nothing that we sealed
                token = unseal(account.sealed_token, self._key, about=account_sid)
                self._tokens[account_sid] = token
        return self._tokens[account_sid]

    def _take(self, changed: Mapping[str, Account | None]) -> None:
        for sid, account in changed.items():
            self._tokens.pop(sid, None)
            self.ended.pop(sid, None)
            if before := self._accounts.pop(sid, None):
                for key in before.api_keys:
                    self._of_key.pop(key.sid, None)
            if account:
                self._accounts[sid] = account
                if account.state != "active":
                    self.ended[sid] = account.state
                self._of_key |= {key.sid: sid for key in account.api_keys}
