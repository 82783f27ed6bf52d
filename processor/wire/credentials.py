"""Secrets at rest: hashed to know them again, sealed where they must be read again."""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import scrypt, sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_MAC = "hmac-sha256"
_NONCE_BYTES = 12
_SEALED = re.compile(r"([0-9a-f]{8})\.([A-Za-z0-9_=-]+)")  # the key's id, then what it sealed
_LOG_N, _R, _P = 14, 8, 1  # a guess costs 16 MiB and some 40 ms


def new_token() -> str:
    """A token or secret: 32 hexadecimal digits, 128 random bits."""
    return secrets.token_hex(16)


def mac_of(token: str) -> str:
    """The hash to store for a token of ``new_token``; fast, as 128 bits cannot be guessed.

    It has a key of its own, stored beside it, so a change of secret keys does not affect it.
    """
    key = secrets.token_bytes(16)
    mac = hmac.digest(key, token.encode(), "sha256")
    return "$".join((_MAC, b64encode(key).decode(), b64encode(mac).decode()))


def is_fast(stored: str) -> bool:
    """Whether ``mac_of`` made the stored hash, and not ``hash_secret``."""
    return stored.startswith(f"{_MAC}$")


def hash_secret(secret: str) -> str:
    """The hash to store for a secret that a person may have chosen; slow on purpose."""
    salt = secrets.token_bytes(16)
    hashed = _scrypt(secret, salt, _LOG_N, _R, _P)
    return "$".join(
        (
            "scrypt",
            str(_LOG_N),
            str(_R),
            str(_P),
            b64encode(salt).decode(),
            b64encode(hashed).decode(),
        )
    )


def is_secret(secret: str, stored: str) -> bool:
    """Whether a secret matches the stored hash, in a time that does not depend on the secret.

    Args:
        secret: as it was given.
        stored: by ``mac_of``, which takes a microsecond, or ``hash_secret``, some 40 ms.
    """
    if is_fast(stored):
        _, key, wanted = stored.split("$")
        found = hmac.digest(b64decode(key), secret.encode(), "sha256")
    else:
        _, log_n, r, p, salt, wanted = stored.split("$")
        found = _scrypt(secret, b64decode(salt), int(log_n), int(r), int(p))
    return hmac.compare_digest(found, b64decode(wanted))


def _scrypt(secret: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    n = 1 << log_n
    return scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)


@dataclass(frozen=True, slots=True)
class Unopened:
    """A sealed text that none of our keys opens."""

    key_id: str  # of the key that sealed it; UNKNOWN where the text does not say


UNKNOWN = "unknown"


def key_id(key: bytes) -> str:
    """The id of a key, 8 hexadecimal digits that tell nothing of it."""
    return sha256(key).hexdigest()[:8]


def seal(text: str, key: bytes, *, about: str) -> str:
    """Encrypt a text; it opens with the same key and for the same sid only.

    Returns:
        The key's id, a dot, then nonce and ciphertext in the base64 of URLs.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = nonce + AESGCM(key).encrypt(nonce, text.encode(), about.encode())
    return f"{key_id(key)}.{urlsafe_b64encode(sealed).decode()}"


def sealed_with(sealed: str) -> str:
    """The id of the key that a text was sealed with.

    Raises:
        ValueError: ``seal`` did not make it.
    """
    if (found := _SEALED.fullmatch(sealed)) is None:
        raise ValueError("is not sealed")
    return found[1]


def unseal(sealed: str, keys: Sequence[bytes], *, about: str) -> str | None:
    """The text; None where none of the keys sealed it, or not for this sid.

    Raises:
        ValueError: ``seal`` did not make it.
    """
    with_key = sealed_with(sealed)
    raw = urlsafe_b64decode(sealed.partition(".")[2])
    nonce, ciphertext = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
    if len(nonce) < _NONCE_BYTES:
        raise ValueError("is not sealed")
    for key in keys:
        if key_id(key) == with_key:
            try:
                return AESGCM(key).decrypt(nonce, ciphertext, about.encode()).decode()
            except InvalidTag:
                continue
    return None
