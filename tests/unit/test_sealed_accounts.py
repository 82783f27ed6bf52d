"""Accounts whose tokens are sealed with keys that come and go."""

from __future__ import annotations

from types import SimpleNamespace

from pydantic import SecretStr

from processor.cli.accounts import _resealed
from processor.config import Settings
from processor.configuration.accounts import new_account
from processor.configuration.edits import write_account
from processor.kafka.topics.accounts_topic import AccountsView
from processor.wire.credentials import UNKNOWN, Unopened, key_id, sealed_with
from schemas.account import Account
from tests.builders import ACCOUNT, KEY, OTHER_ACCOUNT, TOKEN

NEW_KEY = "fedcba9876543210" * 4
OLD, NEW = (key_id(bytes.fromhex(key)) for key in (KEY, NEW_KEY))


def settings_of(*keys: str) -> Settings:
    return Settings(secret_keys=SecretStr(",".join(keys)) if keys else None)


def an_account(sid: str = ACCOUNT, key: str = KEY) -> Account:
    return new_account(settings_of(key), sid, TOKEN, "An account")


def view_of(*accounts: Account, keys: tuple[str, ...]) -> AccountsView:
    view = AccountsView(settings_of(*keys), "accounts")
    view._take({account.sid: account for account in accounts})
    return view


def test_a_token_opens_with_the_key_that_sealed_it_wherever_that_is_named() -> None:
    for keys in ((KEY,), (NEW_KEY, KEY), (KEY, NEW_KEY)):
        view = view_of(an_account(), keys=keys)
        assert (view.token_of(ACCOUNT), view.unopened()) == (TOKEN, {})


def test_a_token_of_a_key_that_is_not_named_is_no_unknown_account() -> None:
    for keys in ((), (NEW_KEY,)):
        view = view_of(an_account(), an_account(OTHER_ACCOUNT, NEW_KEY), keys=keys)
        assert view.unopened()[ACCOUNT] == Unopened(OLD)  # before the first request for it
        assert view.token_of(ACCOUNT) == Unopened(OLD)
        assert (OTHER_ACCOUNT in view.unopened()) is (not keys)
        assert view.token_of("AC_nobody") is None


def test_a_token_that_is_damaged_or_anothers_is_not_opened_either() -> None:
    others = an_account(OTHER_ACCOUNT).sealed_token
    for sealed, by in (("nonsense", UNKNOWN), (f"{OLD}.AAAA", OLD), (others, OLD)):
        view = view_of(an_account().model_copy(update={"sealed_token": sealed}), keys=(KEY,))
        assert view.token_of(ACCOUNT) == Unopened(by)
        assert view.unopened() == {ACCOUNT: Unopened(by)}


def test_a_new_token_or_the_accounts_end_mends_it() -> None:
    view = view_of(an_account(), an_account(OTHER_ACCOUNT), keys=(NEW_KEY,))
    assert view.token_of(ACCOUNT) == Unopened(OLD)
    view._take({ACCOUNT: an_account(key=NEW_KEY), OTHER_ACCOUNT: None})
    assert (view.token_of(ACCOUNT), view.unopened()) == (TOKEN, {})


def test_an_account_whose_record_cannot_be_read_is_no_unknown_account() -> None:
    view = view_of(keys=(KEY,))
    read(view, ACCOUNT, b'{"sid": 1}')
    assert view.token_of(ACCOUNT) == Unopened(UNKNOWN)
    assert view.unopened() == {ACCOUNT: Unopened(UNKNOWN)}
    read(view, ACCOUNT, write_account(an_account()))
    assert (view.token_of(ACCOUNT), view.unopened()) == (TOKEN, {})
    read(view, ACCOUNT, b'{"sid": 1}')
    assert view.token_of(ACCOUNT) == TOKEN  # the last good record stays in force
    read(view, OTHER_ACCOUNT, b"")
    assert view.token_of(OTHER_ACCOUNT) == Unopened(UNKNOWN)
    read(view, OTHER_ACCOUNT, None)
    assert view.token_of(OTHER_ACCOUNT) is None


def read(view: AccountsView, sid: str, value: bytes | None) -> None:
    """Let a view read a record of the topic."""
    record = SimpleNamespace(topic="accounts", partition=0, offset=0, key=sid.encode(), value=value)
    view.topic._gather([record])
    view.topic._hand_on()


def test_tokens_are_sealed_with_the_first_key_once_and_nothing_else_changes() -> None:
    old, current = an_account(), an_account(OTHER_ACCOUNT, NEW_KEY)
    lost = an_account("AC" + "f" * 32, "abcdef0123456789" * 4)
    view = view_of(old, current, lost, keys=(NEW_KEY, KEY))
    [edit] = _resealed(view, bytes.fromhex(NEW_KEY))
    assert (edit.kind, edit.what, edit.sid) == ("account", "updated", ACCOUNT)
    made = Account.model_validate_json(edit.value or b"")
    assert sealed_with(made.sealed_token) == NEW
    assert made.model_copy(update={"sealed_token": old.sealed_token}) == old
    view._take({ACCOUNT: made})
    assert _resealed(view, bytes.fromhex(NEW_KEY)) == []
    assert view_of(made, keys=(NEW_KEY,)).token_of(ACCOUNT) == TOKEN
