"""accounts.v1 (compacted): the accounts that may use the API, and their credentials."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.common import Record, Sid, Time

FriendlyName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
SecretHash = Annotated[str, StringConstraints(pattern=r"^scrypt\$[0-9]+\$[0-9]+\$[0-9]+\$.+\$.+$")]
"""``scrypt$<log2 n>$<r>$<p>$<salt>$<hash>``, salt and hash in base64."""

SecretMac = Annotated[
    str, StringConstraints(pattern=r"^hmac-sha256\$[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+$")
]
"""``hmac-sha256$<key>$<mac>`` in base64, for secrets of 128 random bits: no slow hash needed."""


class ApiKey(BaseModel):
    """A further credential of an account, which can be removed on its own."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    sid: Sid
    friendly_name: FriendlyName
    secret_hash: SecretHash
    secret_mac: SecretMac | None = Field(
        default=None,
        description="For a generated secret, which is checked by this hash alone.",
    )
    created_at: Time


Limit = Annotated[int, Field(ge=0)]


class AccountLimits(BaseModel):
    """The limits of an account that differ from the installation's settings."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    services: Limit | None = None
    configuration_bytes: Limit | None = None
    numbers: Limit | None = None
    api_keys: Limit | None = None
    messages: Limit | None = None


class Account(Record):
    """An account; its token is kept hashed for logins, and sealed for signing webhooks."""

    sid: Sid
    friendly_name: FriendlyName
    status: Literal["active", "suspended"] = "active"
    token_hash: SecretHash
    token_mac: SecretMac | None = Field(
        default=None,
        description="For a generated token, which is checked by this hash alone.",
    )
    sealed_token: str = Field(
        description="AES-256-GCM: the id of its key (one of OPTOUT_SECRET_KEYS), a dot, then nonce "
        "and ciphertext in base64. It signs webhooks."
    )
    api_keys: list[ApiKey] = Field(default_factory=list)
    limits: AccountLimits | None = None
    closed_at: Time | None = Field(
        default=None, description="When it was closed for good; its status is then `suspended`."
    )
    created_at: Time
    updated_at: Time

    @property
    def state(self) -> Literal["active", "suspended", "closed"]:
        """The status under Twilio's name."""
        return "closed" if self.closed_at else self.status
