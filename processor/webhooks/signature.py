"""Authenticates requests: Twilio's ``X-Twilio-Signature``, and a token that repeats share."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from hashlib import blake2b, sha1
from urllib.parse import urlunsplit
from uuid import UUID

from processor.webhooks.addresses import parts_of


def signed_url(url: str) -> str:
    """The address to sign: as configured, without ``user:password@`` and ``#fragment``."""
    parts = parts_of(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))


def sign(token: str, url: str, fields: Mapping[str, str]) -> str:
    """The signature of a request.

    Args:
        token: the account's auth token.
        url: with the query as it is sent.
        fields: of the posted form; empty for a GET.
    """
    said = signed_url(url) + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.digest(token.encode(), said.encode(), sha1)).decode()


def idempotency_token(account_sid: str, delivery_id: str) -> str:
    """The same token for every try, so that an application recognises a repeated request."""
    said = f"{account_sid}/{delivery_id}".encode()
    return str(UUID(bytes=blake2b(said, digest_size=16).digest()))
