"""A number's country by numbering plan: +1 is split into US, CA and the Caribbean (R15)."""

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


def country_of(number: str) -> str | None:
    """ISO 3166-1 alpha-2 of a bare E.164 number, None where the plan knows none."""
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
