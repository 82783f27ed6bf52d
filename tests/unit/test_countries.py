"""R15: a number's country."""

from __future__ import annotations

import pytest

from processor.wire.countries import country_of


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+12125550100", "US"),
        ("+15557654321", "US"),
        ("+18005550100", "US"),
        ("+14165550100", "CA"),
        ("+16045550100", "CA"),
        ("+18765550100", "JM"),
        ("+12425550100", "BS"),
        ("+18685550100", "TT"),
        ("+447700900123", "GB"),
        ("+5215555550100", "MX"),
        ("+999123456789", None),
        ("+9999", None),
        ("", None),
    ],
)
def test_r15_the_numbering_plan_tells_the_country(number: str, country: str | None) -> None:
    assert country_of(number) == country
