"""R31, R32: one person has one key, however the number is spelled."""

from __future__ import annotations

import json
from pathlib import Path

import phonenumbers
import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from processor.audit.people import subscriber_of
from processor.cli import main
from processor.core.addresses import in_one_spelling, subscriber_key, subscriber_keys
from processor.core.messages import ChannelGroup, groups_of, list_key
from processor.wire.countries import country_of
from processor.wire.json_values import is_address

VECTORS = json.loads(
    (Path(__file__).parents[2] / "schemas/examples/subscriber-keys.json").read_text("utf-8")
)
COUNTRIES = ("+52", "+54", "+55")

numbers = st.builds(
    "".join,
    st.tuples(
        st.sampled_from([*COUNTRIES, "+521", "+549", "+1", "+44", "+56", "+5", "+51"]),
        st.sampled_from(["", "9", "15", "11", "1115", "35115", "296515"]),
        st.text("0123456789", min_size=6, max_size=12),
    ),
).filter(is_address)


@pytest.mark.parametrize("one", VECTORS["keys"], ids=lambda one: one["address"])
def test_r32_the_vectors_for_other_languages_are_what_we_do(one: dict[str, str]) -> None:
    address, key = one["address"], one["key"]
    assert is_address(address)
    assert (subscriber_key(address), subscriber_of(address)) == (key, key)


@given(numbers)
@example("+54111515151515")
@example("+543511515151515")
def test_r32_a_key_is_its_own_key_and_only_three_countries_are_folded(number: str) -> None:
    key = subscriber_key(number)
    assert subscriber_key(key) == key
    assert key[:3] == number[:3]
    assert key == number or number.startswith(COUNTRIES)
    assert subscriber_of(number) == key  # the audit has code of its own
    for channel in ("", "whatsapp:", "rcs:"):
        assert in_one_spelling(channel + number) == channel + key
    assert list_key(number, ChannelGroup.WHATSAPP) == f"whatsapp:{key}"


@given(numbers)
def test_r32_a_key_agrees_with_libphonenumber_where_it_knows_the_number(number: str) -> None:
    parsed = phonenumbers.parse(number)
    if number.startswith(COUNTRIES) and phonenumbers.is_valid_number(parsed):
        theirs = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
        assert subscriber_key(theirs) == subscriber_key(number)


def test_r32_each_valid_number_keeps_its_own_country_and_stays_a_number() -> None:
    for region in ("MX", "BR", "AR"):
        for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
            example = phonenumbers.example_number_for_type(region, kind)
            assert example is not None
            number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
            key = subscriber_key(number)
            assert country_of(key) == region
            if region != "AR":  # its keys leave out the 9 of mobile numbers
                assert key == number


@given(st.lists(numbers | st.just("whatsapp:US.1") | st.just("rcs:+5215555550101"), max_size=5))
def test_r32_the_keys_of_a_batch_are_those_of_each(addresses: list[str]) -> None:
    assert list(subscriber_keys(addresses)) == list(map(subscriber_key, addresses))


@pytest.mark.parametrize(
    "id_", ["US.10000000000000000001", "US.ENT.11815799212886844830", "BR.aB9"]
)
def test_r31_a_user_id_is_its_own_key_on_whatsapp_alone(id_: str) -> None:
    assert is_address(f"whatsapp:{id_}")
    assert not is_address(id_)
    assert not is_address(f"rcs:{id_}")
    assert subscriber_key(f"whatsapp:{id_}") == subscriber_of(f"whatsapp:{id_}") == id_
    assert groups_of(id_) == (ChannelGroup.WHATSAPP,)
    assert groups_of("+15551234567") == tuple(ChannelGroup)


def test_r31_a_user_id_has_two_letters_a_dot_and_at_most_140_characters() -> None:
    assert is_address(f"whatsapp:US.{'1' * 137}")
    for wrong in (f"US.{'1' * 138}", "us.1", "USA.1", "US.", "US1", "US.1_2", "US.1 "):
        assert not is_address(f"whatsapp:{wrong}")


def test_r15_the_country_of_a_user_id_is_its_prefix() -> None:
    assert country_of("BR.2000000000000002") == "BR"
    assert country_of("XX.2000000000000002") is None


def test_the_command_prints_the_key_of_each_address() -> None:
    asked = ["key", *(one["address"] for one in VECTORS["keys"])]
    given = CliRunner().invoke(main, asked)
    assert given.stdout.split() == [one["key"] for one in VECTORS["keys"]]
    refused = CliRunner().invoke(main, ["key", "US.1", "(212) 555-0103"])
    assert refused.exit_code == 1
    assert [line.partition("' ")[2] for line in refused.stderr.splitlines()] == [
        "is not a number such as +15551234567",
        "has no country: write + and the country's code before it, or name the country",
    ]
    national = CliRunner().invoke(main, ["key", "--country", "US", "(212) 555-0103"])
    assert national.stdout == "+12125550103\n"
