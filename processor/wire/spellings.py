"""Addresses as people, gateways and spreadsheets spell them, read without a guess (R33).

An address with two valid readings is refused. Refusals name the readings by their countries: they
go to logs and answers, where no number may be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from processor.core.addresses import subscriber_key
from processor.wire.countries import COUNTRIES, country_of
from processor.wire.json_values import is_address, is_number, is_sender, is_subscriber

_CHANNELS = ("whatsapp:", "rcs:")
_SEPARATORS = frozenset("./()[]\u2212")  # besides white space, dashes and invisible characters
_SEPARATING = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf", "Pd"})
_DIGITS = re.compile(r"(\+|00)?([0-9]+)", re.ASCII)
_TRUNK = re.compile(r"^((?:\+|00)[^(]*)\(\s*0\s*\)", re.ASCII)
_OF_A_SPREADSHEET = re.compile(r"([1-9])(?:\.([0-9]+))?[eE]\+?([0-9]{1,2})", re.ASCII)
_FRACTION = re.compile(r"[0-9]+\.0+", re.ASCII)
_SHORT = 8  # digits of the longest short code
_MOST = 64  # characters of a number with its separators
_LETTERED = 7  # so many digits may be a number, with letters or without

_NO_NUMBER = "is not a number such as +15551234567"
_NO_COUNTRY = "has no country: write + and the country's code before it, or name the country"


class NoAddress(ValueError):
    """A text is not one address; says why, and never what the text is."""


class Unclear(NoAddress):
    """A text may be an address, and a person must say which."""


def recipient_of(text: str, *, country: str | None = None, national: bool = False) -> str:
    """The address that a text spells.

    Args:
        text: as typed, exported or received.
        country: of numbers without a country's code, ISO 3166-1 alpha-2.
        national: whether digits without + may be a national number, as in files and forms; else
            they are international, as in topics.

    Raises:
        NoAddress: it spells none, or two.
    """
    if is_address(text):
        return text
    said = _visible(text).strip()
    if is_address(said):
        return said
    channel = next((one for one in _CHANNELS if said.lower().startswith(one)), "")
    number = said[len(channel) :].strip()
    if is_address(channel + number):
        return channel + number
    return channel + _number(number, country=country, national=national)


def subscriber_of(text: str, *, country: str | None = None) -> str:
    """As ``recipient_of`` of a file or a form; there a user id may be without its prefix."""
    said = text.strip()
    if is_subscriber(said):
        return said
    return recipient_of(said, country=country, national=True)


def origin_of(text: str, *, country: str | None = None) -> str:
    """The address that an inbound message is from: a recipient's, a short code or a name (R33).

    Args:
        text: as received.
        country: that the carrier reported; it shows where a number may be national.

    Raises:
        NoAddress: it spells none, or two.
    """
    if is_address(text):
        return text
    said = _visible(text).strip()
    if is_sender(said) and any(one.isalpha() for one in said) and ":" not in said:
        if sum(one.isdigit() for one in said) >= _LETTERED:
            raise Unclear("has two readings: a name, or a number with letters in it")
        return said
    digits = _joined(said)
    if not (digits.isdecimal() and 3 <= len(digits) <= _SHORT):
        return recipient_of(text, country=country)
    if len(digits) < _LETTERED:
        return digits
    return _only({digits: "a short code", **_international(digits)})


def sender_of(text: str) -> str:
    """One of our senders as a carrier spells it: a number may have separators and no +.

    Raises:
        NoAddress: it spells none.
    """
    said = _visible(text).strip()
    return said if is_sender(said) else recipient_of(said)


def is_recipient(origin: str) -> bool:
    """Whether an address of ``origin_of`` is a recipient's: neither a short code nor a name."""
    return origin[0] == "+" or ":" in origin


def _visible(text: str) -> str:
    """NFKC without invisible characters, such as the byte order mark."""
    if text.isascii():
        return text
    folded = unicodedata.normalize("NFKC", text)
    return "".join(one for one in folded if unicodedata.category(one) != "Cf")


def _joined(text: str) -> str:
    """A number without what separates its digits."""
    return "".join(
        one
        for one in text
        if one not in _SEPARATORS and unicodedata.category(one) not in _SEPARATING
    )


def _number(text: str, *, country: str | None, national: bool) -> str:
    if _FRACTION.fullmatch(text):
        raise Unclear("has the .0 of a spreadsheet: format the column as text")
    if len(text) > _MOST:
        raise NoAddress(_NO_NUMBER)
    found = _DIGITS.fullmatch(_joined(_whole(text)))
    if not found:
        raise NoAddress(_NO_NUMBER)
    prefix, digits = found.groups()
    if prefix and _TRUNK.match(text):
        return _with_trunk(text)
    if prefix:
        return _written(f"+{digits}")
    if national and country is None:
        raise Unclear(_NO_COUNTRY)
    readings = _international(digits)
    if not national and not readings:
        raise Unclear(_NO_COUNTRY) if is_number(f"+{digits}") else NoAddress(_NO_NUMBER)
    if country is not None:
        readings = {**readings, **_national(digits, country)}
    if not readings:
        raise Unclear(f"is not a number within {country}: write + and the country's code before it")
    return _only(readings)


def _whole(text: str) -> str:
    """The digits behind a spreadsheet's 1.2125550105E+10, if none is lost."""
    found = _OF_A_SPREADSHEET.fullmatch(text)
    if not found:
        return text
    first, others, exponent = found[1], found[2] or "", int(found[3])
    if len(others) != exponent:
        raise Unclear("has lost digits to a spreadsheet: format the column as text")
    return first + others


def _with_trunk(text: str) -> str:
    """A number with a (0) behind the country's code: dialled within the country only, mostly."""
    without, kept = (
        _DIGITS.fullmatch(_joined(_TRUNK.sub(rf"\g<1>{zero}", text))) for zero in ("", "0")
    )
    if not without or not kept:
        raise NoAddress(_NO_NUMBER)
    number, other = f"+{without[2]}", f"+{kept[2]}"
    if _exists(other):  # as in Italy: there the 0 is a part of the number
        if _exists(number):
            raise Unclear("has two readings: with the 0 in brackets, or without it")
        return _written(other)
    return _written(number)


def _written(number: str) -> str:
    if not is_number(number):
        raise NoAddress(_NO_NUMBER)
    return number


def _international(digits: str) -> Mapping[str, str]:
    """The reading of digits as a country's code and a number; empty if no country has it."""
    number = f"+{digits}"
    if not is_number(number) or not _exists(number):
        return {}
    return {number: f"a number with the code of {country_of(number)}"}


def _national(digits: str, country: str) -> Mapping[str, str]:
    """The reading of digits as dialled within a country; empty if it has no such number."""
    if country not in COUNTRIES:
        raise Unclear("has an unknown country: name it by two capital letters, such as US")
    try:
        parsed = phonenumbers.parse(digits, country)
    except NumberParseException:
        return {}
    number = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    if not is_number(number) or not _exists(number):
        return {}
    return {number: f"a number within {country}"}


def _only(readings: Mapping[str, str]) -> str:
    """The address if all readings are of one person.

    Args:
        readings: addresses, at least one, and what each is.

    Raises:
        Unclear: they are of two.
    """
    persons = {subscriber_key(one): one for one in readings}
    if len(persons) > 1:
        raise Unclear(f"has two readings: {', or '.join(sorted(readings.values()))}")
    [address] = persons.values()
    return address


@lru_cache(4_096)
def _exists(number: str) -> bool:
    """Whether a country's numbering plan has the number."""
    key = subscriber_key(number)
    try:
        parsed = phonenumbers.parse(key)
    except NumberParseException:
        return False
    theirs = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    # The parser leaves out a 0 that E.164 has not.
    return subscriber_key(theirs) == key and phonenumbers.is_valid_number(parsed)
