"""Validity of a session's cookie."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import SecretStr

from processor.config import Settings
from processor.http.auth import Caller
from processor.http.console.sessions import TIMEOUT_S, Sessions, SignedOut
from processor.kafka.topics.accounts_topic import AccountsView
from processor.stores.sessions import MemorySessions
from tests.api import KEY
from tests.builders import ACCOUNT, RECIPIENT

OPERATORS = "jane:the token of jane"
OTHER_KEY = "fedcba9876543210" * 4


class _Accounts:
    def __init__(self) -> None:
        self.open = MemorySessions()
        self.one = SimpleNamespace(sid=ACCOUNT, status="active", token_hash="a", api_keys=())

    def get(self, sid: str) -> Any:
        return self.one if sid == ACCOUNT else None


def _sessions(
    accounts: _Accounts, now_s: float = 0.0, key: str = KEY, operators: str = OPERATORS
) -> Sessions:
    settings = Settings(secret_keys=SecretStr(key), operator_tokens=SecretStr(operators))
    return Sessions(settings, cast(AccountsView, accounts), accounts.open, lambda: now_s)


async def test_any_process_knows_a_session_until_it_is_over() -> None:
    accounts = _Accounts()
    cookie = await _sessions(accounts).open(Caller(ACCOUNT, ACCOUNT))
    assert (await _sessions(accounts, TIMEOUT_S).read(cookie)).caller == Caller(ACCOUNT, ACCOUNT)
    with pytest.raises(SignedOut):
        await _sessions(accounts, TIMEOUT_S + 1).read(cookie)


async def test_a_new_token_or_a_closed_account_ends_a_session() -> None:
    for name, value in (("token_hash", "b"), ("status", "closed")):
        accounts = _Accounts()
        cookie = await _sessions(accounts).open(Caller(ACCOUNT, ACCOUNT))
        setattr(accounts.one, name, value)
        with pytest.raises(SignedOut):
            await _sessions(accounts).read(cookie)


async def test_a_cookie_that_is_not_signed_by_us_is_nobodys() -> None:
    accounts = _Accounts()
    cookie = await _sessions(accounts).open(Caller(None, "operator/jane", operator=True))
    payload, _, signature = cookie.partition(".")
    theirs = await _sessions(accounts, key=OTHER_KEY).open(
        Caller(None, "operator/jane", operator=True)
    )
    for given in (
        "",
        "x",
        payload,
        f"{payload}.{signature[:-1]}",
        f"é.{signature}",
        f"{payload}.é",
        theirs,
    ):
        with pytest.raises(SignedOut):
            await _sessions(accounts).read(given)
    assert (await _sessions(accounts).read(cookie)).caller.operator


async def test_a_sealed_address_opens_in_any_process_and_about_its_account_only() -> None:
    sealed = _sessions(_Accounts()).seal(RECIPIENT, about=ACCOUNT)
    assert RECIPIENT not in sealed
    assert _sessions(_Accounts()).unseal(sealed, about=ACCOUNT) == RECIPIENT
    assert _sessions(_Accounts()).unseal(sealed, about="AC_other") is None
    assert _sessions(_Accounts(), key=OTHER_KEY).unseal(sealed, about=ACCOUNT) is None


async def test_a_session_that_was_ended_is_ended_in_every_process() -> None:
    accounts = _Accounts()
    cookie = await _sessions(accounts).open(Caller(ACCOUNT, ACCOUNT))
    other = await _sessions(accounts).open(Caller(ACCOUNT, ACCOUNT))
    await _sessions(accounts).end(await _sessions(accounts).read(cookie))
    with pytest.raises(SignedOut):
        await _sessions(accounts).read(cookie)
    assert (await _sessions(accounts).read(other)).caller == Caller(ACCOUNT, ACCOUNT)
    accounts.open = MemorySessions()  # what was forgotten is no session
    with pytest.raises(SignedOut):
        await _sessions(accounts).read(other)


async def test_an_operators_session_ends_with_the_operators_token() -> None:
    accounts = _Accounts()
    cookie = await _sessions(accounts).open(Caller(None, "operator/jane", operator=True))
    for operators in ("joe:the token of jane", "jane:another token of jane", "the token of jane"):
        with pytest.raises(SignedOut):
            await _sessions(accounts, operators=operators).read(cookie)
    assert (await _sessions(accounts).read(cookie)).actor == "operator/jane"


async def test_sessions_and_addresses_of_an_old_key_are_good_while_it_is_named() -> None:
    accounts, both = _Accounts(), f"{OTHER_KEY},{KEY}"
    cookie = await _sessions(accounts).open(Caller(ACCOUNT, ACCOUNT))
    sealed = _sessions(accounts).seal(RECIPIENT, about=ACCOUNT)
    assert (await _sessions(accounts, key=both).read(cookie)).caller == Caller(ACCOUNT, ACCOUNT)
    assert _sessions(accounts, key=both).unseal(sealed, about=ACCOUNT) == RECIPIENT
    new = await _sessions(accounts, key=both).open(Caller(ACCOUNT, ACCOUNT))
    assert (await _sessions(accounts, key=OTHER_KEY).read(new)).caller == Caller(ACCOUNT, ACCOUNT)
    with pytest.raises(SignedOut):
        await _sessions(accounts, key=OTHER_KEY).read(cookie)
