"""Secrets at rest: hashed to know them again, sealed where they must be read again."""

from __future__ import annotations

import hmac
import secrets
from base64 import b64decode, b64encode
from hashlib import scrypt

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_LOG_N, _R, _P = 14, 8, 1  # 16 MiB and some 40 ms: what guessing costs


def new_token() -> str:
    """A token or secret: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def hash_secret(secret: str) -> str:
    """What is stored of a secret; slow on purpose."""
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


def is_secret(secret: str, hashed: str) -> bool:
    """Whether a secret is the one that was hashed; slow, and its time tells nothing."""
    _, log_n, r, p, salt, wanted = hashed.split("$")
    found = _scrypt(secret, b64decode(salt), int(log_n), int(r), int(p))
    return hmac.compare_digest(found, b64decode(wanted))


def _scrypt(secret: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    n = 1 << log_n
    return scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)


def seal(text: str, key: bytes, *, about: str) -> str:
    """Encrypt a text; it opens with the same key and for the same sid only."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return b64encode(nonce + AESGCM(key).encrypt(nonce, text.encode(), about.encode())).decode()


def unseal(sealed: str, key: bytes, *, about: str) -> str | None:
    """The text, None where it was sealed with another key or for another sid."""
    raw = b64decode(sealed)
    try:
        opened = AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], about.encode())
    except InvalidTag:
        return None
    return opened.decode()
