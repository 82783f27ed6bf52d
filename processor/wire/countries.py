"""A number's country by numbering plan: +1 is split into US, CA and the Caribbean (R15)."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers

COUNTRIES: frozenset[str] = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""Every country that has numbers."""


@lru_cache(maxsize=65_536)
def country_of(number: str) -> str | None:
    """ISO 3166-1 alpha-2 of a bare E.164 number, None where the plan knows none."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.region_code_for_number(parsed) or _shared_plan(parsed)


def _shared_plan(parsed: phonenumbers.PhoneNumber) -> str | None:
    # A number too new for the plan's details (test numbers, +1555...) still has its country code.
    region = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    return None if region in ("ZZ", "001") else region
