"""A recipient's country: mostly by numbering plan, +1 split into US, CA and others (R15)."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

COUNTRIES: frozenset[str] = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""Every country that has numbers."""

_NORTH_AMERICA = "1"
_NO_COUNTRY = "001"
_LONG = 12
_REGIONS = {str(code): regions for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()}


def country_of(subscriber: str) -> str | None:
    """The country of a bare number by its plan, or of a user id by its prefix (R15, R31).

    Returns:
        ISO 3166-1 alpha-2; None where the plan knows none.
    """
    if subscriber[:1].isalpha():
        return subscriber[:2] if subscriber[:2] in COUNTRIES else None
    return _of_number(subscriber)


def _of_number(number: str) -> str | None:
    for digits in (1, 2, 3):  # no calling code is a prefix of another
        code = number[1 : 1 + digits]
        if regions := _REGIONS.get(code):
            break
    else:
        return None
    if len(regions) == 1:
        return None if regions[0] == _NO_COUNTRY else regions[0]
    if code == _NORTH_AMERICA:
        # The area code alone decides; a subscriber's number may be too new for the plan's details.
        return _shared(number[:5] + "2345678")
    # The last three digits of a long number tell nothing: one answer for all that share the others.
    return _shared(number if len(number) < _LONG else number[:-3] + "000")


@lru_cache(maxsize=65_536)
def _shared(number: str) -> str | None:
    """The country of a number whose calling code several have; their first for one too new."""
    parsed = phonenumbers.parse(number)
    return phonenumbers.region_code_for_number(parsed) or phonenumbers.region_code_for_country_code(
        parsed.country_code or 0
    )
