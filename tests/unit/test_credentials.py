"""Stored secrets: tokens, passwords and keys."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from processor.config import Settings
from processor.wire.credentials import (
    hash_secret,
    is_fast,
    is_secret,
    key_id,
    mac_of,
    new_token,
    seal,
    sealed_with,
    unseal,
)
from tests.builders import ACCOUNT, OTHER_ACCOUNT

KEY, OTHER_KEY = bytes(32), bytes(31) + b"\1"
TOKEN = "0123456789abcdef0123456789abcdef"


def test_a_secret_is_known_again_and_no_other_is() -> None:
    hashed = hash_secret(TOKEN)
    assert is_secret(TOKEN, hashed)
    assert not is_secret(TOKEN + "0", hashed)
    assert TOKEN not in hashed
    assert hash_secret(TOKEN) != hashed  # salted


def test_a_token_that_was_made_is_known_again_by_a_fast_hash_with_a_key_of_its_own() -> None:
    stored = mac_of(TOKEN)
    assert is_fast(stored)
    assert is_secret(TOKEN, stored)
    assert not is_secret(TOKEN + "0", stored)
    assert not is_secret("", stored)
    assert TOKEN not in stored
    assert mac_of(TOKEN) != stored
    assert not is_fast(hash_secret(TOKEN))


def test_a_sealed_text_opens_with_its_key_and_for_its_account_only() -> None:
    sealed = seal(TOKEN, KEY, about=ACCOUNT)
    assert TOKEN not in sealed
    assert unseal(sealed, [KEY], about=ACCOUNT) == TOKEN
    assert unseal(sealed, [OTHER_KEY, KEY], about=ACCOUNT) == TOKEN
    assert unseal(sealed, [OTHER_KEY], about=ACCOUNT) is None
    assert unseal(sealed, [], about=ACCOUNT) is None
    assert unseal(sealed, [KEY], about=OTHER_ACCOUNT) is None


def test_a_sealed_text_says_which_key_sealed_it() -> None:
    assert sealed_with(seal(TOKEN, KEY, about=ACCOUNT)) == key_id(KEY)
    assert key_id(KEY) != key_id(OTHER_KEY)


@pytest.mark.parametrize(
    "given", ["", "66687aad", "66687aad.", "66687aad.AAAA", "é.AAAA", "x.AAAA"]
)
def test_what_was_never_sealed_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="not sealed"):
        unseal(given, [KEY], about=ACCOUNT)


def test_no_two_tokens_are_the_same() -> None:
    assert len({new_token() for _ in range(100)}) == 100


HEX, BASE64 = "0123456789abcdef" * 4, "ASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4mrze8="


@pytest.mark.parametrize("given", [HEX, BASE64])
def test_a_key_is_given_in_hex_or_base64(given: str) -> None:
    assert Settings(secret_keys=SecretStr(given)).sealing_keys() == (bytes.fromhex(HEX),)


def test_several_keys_keep_their_order() -> None:
    other = "fedcba9876543210" * 4
    keys = Settings(secret_keys=SecretStr(f"{other}, {BASE64},")).sealing_keys()
    assert keys == (bytes.fromhex(other), bytes.fromhex(HEX))


@pytest.mark.parametrize("given", ["ab" * 31, "not a key", "ab" * 32, "00" * 32])
def test_a_key_that_is_none_is_named_by_its_place_and_not_repeated(given: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(secret_keys=SecretStr(f"{HEX},{given}"))
    assert "key 2" in str(refused.value)
    assert "openssl rand -hex 32" in str(refused.value)
    assert given not in str(refused.value)
    assert HEX not in str(refused.value)
