"""Accounts that end: suspended and resumed, or closed for good with all they hold.

The block list is left alone whatever becomes of the account: a recipient who opted out stays opted
out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Literal

from processor.configuration.edits import Edit, edit_of_account, edit_of_number, edit_of_service
from processor.errors import ConfigError
from processor.kafka.topics.configuration_writer import Configuration
from processor.wire.credentials import hash_secret, new_token
from schemas.account import Account

_AT_ONCE = 500  # things of a closed account that go in one transaction


async def suspend(stored: Configuration, sid: str, *, actor: str) -> Account:
    """Stop an account's credentials, sessions, sends and webhooks; all it has stays.

    Raises:
        BrokerUnavailable: see ``Configuration.update``.
        ConfigError: where there is no such account, or it is closed.
    """
    return await _change(stored, sid, lambda account: with_status(account, "suspended"), actor)


async def resume(stored: Configuration, sid: str, *, actor: str) -> Account:
    """Let a suspended account go on as it was.

    Raises:
        BrokerUnavailable: see ``Configuration.update``.
        ConfigError: where there is no such account, or it is closed.
    """
    return await _change(stored, sid, lambda account: with_status(account, "active"), actor)


async def close(stored: Configuration, sid: str, *, actor: str) -> Account:
    """End an account for good: its credentials first, then its services and numbers.

    The record stays, so that its sends go on failing. If a failure leaves something behind, closing
    the account again removes it.

    Raises:
        BrokerUnavailable: see ``Configuration.update``; some services and numbers may be left.
        ConfigError: where there is no such account.
    """
    hashed = await asyncio.to_thread(hash_secret, new_token())  # of a token that no one knows
    account = await _change(stored, sid, lambda account: closed(account, hashed), actor)
    while await stored.update(lambda: _leftovers(stored, sid), actor=actor):
        pass
    return account


async def _change(
    stored: Configuration, sid: str, change: Callable[[Account], Account], actor: str
) -> Account:
    made: list[Account] = []

    def decide() -> list[Edit]:
        before = stored.accounts.get(sid)
        if before is None:
            raise ConfigError([f"no account {sid}; `optout accounts list` shows those there are"])
        made[:] = [change(before)]
        return [edit_of_account(before, made[0])] if made[0] != before else []

    await stored.update(decide, actor=actor)
    return made[0]


def with_status(account: Account, status: Literal["active", "suspended"]) -> Account:
    """An account as it is suspended or resumed; the same where it is so already.

    Raises:
        ConfigError: where it is closed.
    """
    if account.closed_at:
        raise ConfigError([f"{account.sid} is closed for good; create another account"])
    if account.status == status:
        return account
    return account.model_copy(update={"status": status, "updated_at": datetime.now(UTC)})


def closed(account: Account, token_hash: str) -> Account:
    """An account as it is closed, without any credential.

    Args:
        account: as it was.
        token_hash: of a token that no one knows.
    """
    if account.closed_at:
        return account
    now = datetime.now(UTC)
    return account.model_copy(
        update={
            "status": "suspended",
            "closed_at": now,
            "token_hash": token_hash,
            "token_mac": None,
            "sealed_token": "",
            "api_keys": [],
            "updated_at": now,
        }
    )


def _leftovers(stored: Configuration, sid: str) -> list[Edit]:
    """Some of what a closed account still has, to be deleted."""
    services = islice(stored.services.of_account(sid), _AT_ONCE)
    edits = [edit_of_service(service.whole(), None) for service in services]
    numbers = islice(stored.numbers.of_account(sid), _AT_ONCE - len(edits))
    return edits + [edit_of_number(number, None) for number in numbers]
