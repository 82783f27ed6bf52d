"""The accounts, followed live, with their API credentials and the tokens that sign webhooks."""

from __future__ import annotations

from collections.abc import Mapping

from processor.config import Settings
from processor.configuration.edits import Status, write_account
from processor.kafka.topics.compacted import CompactedTopic
from processor.metrics import Metrics
from processor.wire.credentials import UNKNOWN, Unopened, key_id, sealed_with, unseal
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
            unusable=self._hold,
        )
        self._keys = settings.sealing_keys()
        self._key_ids = {key_id(key) for key in self._keys}
        self._accounts: dict[str, Account] = {}
        self._of_key: dict[str, str] = {}
        self._tokens: dict[str, str | Unopened] = {}  # of those that were asked for
        self._unopened: dict[str, Unopened] = {}
        self.ended: dict[str, Status] = {}  # by sid, of those that are not active; altered in place

    def value_of(self, sid: str) -> bytes | None:
        """The topic's value for a sid."""
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

    def token_of(self, account_sid: str) -> str | Unopened | None:
        """The token that an account's webhooks are signed with.

        None where there is no such account, or it is closed. ``Unopened`` where none of
        OPTOUT_SECRET_KEYS opens it, or its record cannot be read.
        """
        account = self._accounts.get(account_sid)
        if account is None:
            return self._unopened.get(account_sid)
        if account.closed_at:
            return None
        if account_sid not in self._tokens:
            self._tokens[account_sid] = token = self._opened(account)
            if isinstance(token, Unopened):
                self._unopened[account_sid] = token
        return self._tokens[account_sid]

    def unopened(self) -> Mapping[str, Unopened]:
        """Accounts whose tokens none of OPTOUT_SECRET_KEYS opens, as far as is known.

        That a key is missing is known as soon as an account is; that a token is damaged, once it
        was asked for.
        """
        return self._unopened

    def _hold(self, sid: str) -> None:
        """Note an account whose record cannot be used: it must not be taken for none."""
        if sid not in self._accounts:
            self._unopened[sid] = Unopened(UNKNOWN)

    def _opened(self, account: Account) -> str | Unopened:
        try:
            token = unseal(account.sealed_token, self._keys, about=account.sid)
        except ValueError:
            token = None
        return Unopened(_key_id_of(account)) if token is None else token

    def _take(self, changed: Mapping[str, Account | None]) -> None:
        for sid, account in changed.items():
            self._tokens.pop(sid, None)
            self._unopened.pop(sid, None)
            self.ended.pop(sid, None)
            if before := self._accounts.pop(sid, None):
                for key in before.api_keys:
                    self._of_key.pop(key.sid, None)
            if account:
                self._accounts[sid] = account
                if account.state != "active":
                    self.ended[sid] = account.state
                self._of_key |= {key.sid: sid for key in account.api_keys}
                sealed_by = _key_id_of(account)
                if sealed_by not in self._key_ids and not account.closed_at:
                    self._unopened[sid] = Unopened(sealed_by)


def _key_id_of(account: Account) -> str:
    try:
        return sealed_with(account.sealed_token)
    except ValueError:
        return UNKNOWN
