"""Secrets at rest."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from processor.config import Settings
from processor.wire.credentials import hash_secret, is_secret, new_token, seal, unseal
from tests.builders import ACCOUNT, OTHER_ACCOUNT

KEY, OTHER_KEY = bytes(32), bytes(31) + b"\1"
TOKEN = "0123456789abcdef0123456789abcdef"


def test_a_secret_is_known_again_and_no_other_is() -> None:
    hashed = hash_secret(TOKEN)
    assert is_secret(TOKEN, hashed)
    assert not is_secret(TOKEN + "0", hashed)
    assert TOKEN not in hashed
    assert hash_secret(TOKEN) != hashed  # salted


def test_a_sealed_text_opens_with_its_key_and_for_its_account_only() -> None:
    sealed = seal(TOKEN, KEY, about=ACCOUNT)
    assert TOKEN not in sealed
    assert unseal(sealed, KEY, about=ACCOUNT) == TOKEN
    assert unseal(sealed, OTHER_KEY, about=ACCOUNT) is None
    assert unseal(sealed, KEY, about=OTHER_ACCOUNT) is None


def test_no_two_tokens_are_the_same() -> None:
    assert len({new_token() for _ in range(100)}) == 100


@pytest.mark.parametrize("given", ["ab" * 32, "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="])
def test_a_key_is_given_in_hex_or_base64(given: str) -> None:
    assert Settings(secret_key=SecretStr(given)).sealing_key() == b"\xab" * 32


@pytest.mark.parametrize("given", ["ab" * 31, "not a key"])
def test_a_key_that_is_none_is_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(secret_key=SecretStr(given))
    assert "openssl rand -hex 32" in str(refused.value)
    assert "not a key" not in str(refused.value)
