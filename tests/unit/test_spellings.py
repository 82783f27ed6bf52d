"""R33: addresses as people, gateways and spreadsheets spell them, read without a guess."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.wire.json_values import is_address, is_sender
from processor.wire.spellings import (
    NoAddress,
    Unclear,
    is_recipient,
    origin_of,
    recipient_of,
    sender_of,
    subscriber_of,
)
from tests.spellings import AS_RECEIVED

NO_COUNTRY = "has no country: write + and the country's code before it, or name the country"


def why(read: Callable[..., str], text: str, **options: str) -> str:
    with pytest.raises(NoAddress) as caught:
        read(text, **options)
    said = str(caught.value)
    assert not text or text not in said
    return said


@pytest.mark.parametrize(("text", "address"), AS_RECEIVED)
def test_r33_an_inbound_address_is_read_where_it_has_one_reading(text: str, address: str) -> None:
    assert origin_of(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("50051234", "has two readings: a number with the code of FK, or a short code"),
        ("x5551234567", "has two readings: a name, or a number with letters in it"),
        ("2125550177", NO_COUNTRY),  # no number of Morocco, and no country says it is of the US
        ("3105550177", NO_COUNTRY),
        ("+44 (0)", "is not a number such as +15551234567"),
        ("+(0)", "is not a number such as +15551234567"),
        ("+39 (0)331 1234567", "has two readings: with the 0 in brackets, or without it"),
        ("+05557654321", "is not a number such as +15551234567"),
        ("tel:+12125550101", "is not a number such as +15551234567"),
        ("+1 212 555 0106 x5", "is not a number such as +15551234567"),
        ("", "is not a number such as +15551234567"),
        ("+" + "1" * 70, "is not a number such as +15551234567"),
    ],
)
def test_r33_an_inbound_address_is_refused_where_it_has_none_or_two(text: str, reason: str) -> None:
    assert why(origin_of, text) == reason


def test_r33_the_country_that_a_carrier_reported_shows_a_second_reading() -> None:
    assert origin_of("12125550177", country="US") == "+12125550177"
    assert origin_of("491712345678") == "+491712345678"
    assert why(origin_of, "491712345678", country="DE") == (
        "has two readings: a number with the code of DE, or a number within DE"
    )


@pytest.mark.parametrize(
    ("text", "country", "address"),
    [
        ("12125550102", "US", "+12125550102"),
        ("(212) 555-0103", "US", "+12125550103"),
        ("212-555-0104", "US", "+12125550104"),
        ("1.2125550105E+10", "US", "+12125550105"),
        ("011 44 20 7946 0000", "US", "+442079460000"),
        ("020 7946 0000", "GB", "+442079460000"),
        ("(0)20 7946 0000", "GB", "+442079460000"),
        ("0044 7700 900108", None, "+447700900108"),
        ("+12125550109 ", None, "+12125550109"),
        ("\ufeff+12125550110", None, "+12125550110"),
        ("whatsapp:+12125550111", None, "whatsapp:+12125550111"),
        ("US.13491208655302741918", None, "US.13491208655302741918"),
    ],
)
def test_r33_a_file_is_read_by_its_country(text: str, country: str | None, address: str) -> None:
    assert subscriber_of(text, country=country) == address


@pytest.mark.parametrize(
    ("text", "country", "reason"),
    [
        ("12125550102", None, NO_COUNTRY),
        ("212-555-0104", None, NO_COUNTRY),
        ("1.2125550105E+10", None, NO_COUNTRY),
        ("1.2E+10", "US", "has lost digits to a spreadsheet: format the column as text"),
        ("12125550102.0", "US", "has the .0 of a spreadsheet: format the column as text"),
        (
            "212-555-0104",
            "GB",
            "is not a number within GB: write + and the country's code before it",
        ),
        (
            "2125550104",
            "XX",
            "has an unknown country: name it by two capital letters, such as US",
        ),
        ("1", "US", "is not a number within US: write + and the country's code before it"),
    ],
)
def test_r33_a_file_is_not_guessed_at(text: str, country: str | None, reason: str) -> None:
    with pytest.raises(Unclear) as caught:
        subscriber_of(text, country=country)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("text", "sender"),
    [
        ("12125550100", "+12125550100"),
        ("+1 212 555 0100", "+12125550100"),
        ("whatsapp: +12125550100", "whatsapp:+12125550100"),
        (" 88555 ", "88555"),
        ("rcs:agent", "rcs:agent"),
    ],
)
def test_r33_our_own_number_may_be_spelled_loosely(text: str, sender: str) -> None:
    assert sender_of(text) == sender


@given(st.text("0123456789+-. ()ABab:\ufeff", max_size=20) | st.text(max_size=20))
def test_r33_a_text_is_read_as_an_address_or_refused(text: str) -> None:
    for read in (origin_of, recipient_of, subscriber_of, sender_of):
        try:
            address = read(text)
        except NoAddress:
            continue
        assert is_address(address) or is_address(f"whatsapp:{address}") or is_sender(address)
        assert read(address) == address


def test_a_short_code_and_a_name_are_no_recipients() -> None:
    assert not any(map(is_recipient, ("7726", "AMAZON")))
    assert all(map(is_recipient, ("+12125550101", "rcs:+12125550101", "whatsapp:US.1")))
