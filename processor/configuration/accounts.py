"""Accounts as they are created, given another token, and limited."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypedDict

from processor.config import Settings
from processor.errors import ConfigError
from processor.wire.credentials import hash_secret, mac_of, seal
from schemas.account import Account

ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
MOST_NAME_CHARACTERS = 64


class TokenFields(TypedDict):
    """The fields of an account that a token decides."""

    token_hash: str
    token_mac: str | None
    sealed_token: str


def new_account(
    settings: Settings, sid: str, token: str, friendly_name: str, *, made: bool = False
) -> Account:
    """Make an account, ready to be stored.

    Args:
        settings: their first secret key seals the token.
        sid: of the account.
        token: of 16 to 128 characters.
        friendly_name: of up to 64 characters.
        made: whether ``new_token`` made the token; a token that a person chose needs a slow hash.

    Raises:
        ConfigError: there is no key to seal the token with.
    """
    now = datetime.now(UTC)
    return Account(
        sid=sid,
        friendly_name=friendly_name,
        created_at=now,
        updated_at=now,
        **token_fields(settings, sid, token, made=made),
    )


def token_fields(settings: Settings, sid: str, token: str, *, made: bool) -> TokenFields:
    """The fields of an account that a token decides; it takes a slow hash.

    Raises:
        ConfigError: there is no key to seal the token with.
    """
    return {
        "token_hash": hash_secret(token),
        "token_mac": mac_of(token) if made else None,
        "sealed_token": seal(token, sealing_keys(settings)[0], about=sid),
    }


def sealing_keys(settings: Settings) -> Sequence[bytes]:
    """The keys that seal tokens, the first for new tokens.

    Raises:
        ConfigError: there is none.
    """
    keys = settings.sealing_keys()
    if not keys:
        raise ConfigError(
            [
                "OPTOUT_SECRET_KEYS: not set; its first key seals the tokens that sign webhooks."
                " Make one with `openssl rand -hex 32`, and give it to every process"
            ]
        )
    return keys
