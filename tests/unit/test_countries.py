"""R15: a number's country."""

from __future__ import annotations

import phonenumbers
import pytest

from processor.wire.countries import COUNTRIES, country_of


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
        ("+14160000000", "CA"),
        ("+390669800000", "VA"),
        ("+870123456789", None),
        ("+999123456789", None),
        ("+9999", None),
        ("", None),
    ],
)
def test_r15_the_numbering_plan_tells_the_country(number: str, country: str | None) -> None:
    assert country_of(number) == country


def test_r15_every_country_has_its_own_numbers() -> None:
    numbers = {
        country: phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        for country in COUNTRIES
        if (example := phonenumbers.example_number(country))
    }
    assert len(numbers) > 240
    assert {country: country_of(number) for country, number in numbers.items()} == {
        country: phonenumbers.region_code_for_number(phonenumbers.parse(number))
        for country, number in numbers.items()
    }
