"""How much an account may keep, and the error for an edit that adds too much."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Quota(StrEnum):
    """The limited quantities, by the name of the setting and of the account's own limit."""

    SERVICES = "services"
    CONFIGURATION_BYTES = "configuration_bytes"
    NUMBERS = "numbers"
    API_KEYS = "api_keys"
    MESSAGES = "messages"  # kept in Redis; the oldest go, so that nothing is ever refused


Amounts = Mapping[Quota, int]

WORDS = {
    Quota.SERVICES: "messaging services",
    Quota.CONFIGURATION_BYTES: "bytes of configuration in its messaging services",
    Quota.NUMBERS: "numbers",
    Quota.API_KEYS: "API keys",
    Quota.MESSAGES: "messages kept",
}
# Twilio's own where its dictionary of errors has one: 20001 is any wrong parameter.
CODES = {Quota.SERVICES: 30995, Quota.API_KEYS: 70151}
ANY = 20001


class Excess(NamedTuple):
    """A limit that an edit would pass."""

    quota: Quota
    used: int  # before the edit
    wanted: int
    limit: int

    @property
    def code(self) -> int:
        """Twilio's error code."""
        return CODES.get(self.quota, ANY)

    def __str__(self) -> str:
        return (
            f"Too many {WORDS[self.quota]}: the account has {self.used}, its limit is {self.limit},"
            f" and this would make {self.wanted}. Delete some, or ask the operator for a higher"
            " limit (optout accounts limits)"
        )


def excesses(before: Amounts, after: Amounts, limits: Amounts) -> list[Excess]:
    """The limits that a change exceeds; a quantity already above its limit may stay or shrink.

    Args:
        before: the account's quantities; a quantity that is not named counts as 0.
        after: its quantities after the change.
        limits: of the account, every quota that is named in ``after``.
    """
    return [
        Excess(quota, before.get(quota, 0), wanted, limits[quota])
        for quota, wanted in after.items()
        if wanted > limits[quota] and wanted > before.get(quota, 0)
    ]
