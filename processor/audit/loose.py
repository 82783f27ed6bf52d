"""Inbound messages as the audit reads them where they do not fit their schema (R33)."""

from __future__ import annotations

import re
import unicodedata

import phonenumbers

from processor.audit.parsing import Fields

_STRICT = re.compile(r"(?:whatsapp:|rcs:)?\+[1-9][0-9]{6,14}|whatsapp:[A-Z]{2}\.[A-Za-z0-9.]+")
_OURS = re.compile(r"(?:whatsapp:|rcs:)?\+[1-9][0-9]{6,14}|[0-9]{3,8}|rcs:\S+")
_CODE = re.compile(r"[0-9]{3,8}")
_TRUNK = re.compile(r"\(\s*0\s*\)")
_COUNTRY = re.compile(r"[A-Z]{2}")


def loosely(fields: Fields) -> Fields:
    """Read the fields that a carrier may spell in several ways; others stay.

    A value that match refuses may come out as anything: nothing was decided on it.
    """
    country = str(fields.get("from_country") or "").strip().upper()
    service = fields.get("messaging_service_sid")
    return {
        **fields,
        "from": _address(fields["from"]),
        "to": _ours(fields["to"]),
        "body": fields.get("body") or "",
        "from_country": country if _COUNTRY.fullmatch(country) else None,
        "messaging_service_sid": service if isinstance(service, str) and service else None,
    }


def is_heard(address: str) -> bool:
    """Whether texts from an address are matched: a short code and a name are not heard."""
    return _STRICT.fullmatch(address) is not None


def _address(said: str) -> str:
    if _STRICT.fullmatch(said):
        return said
    visible = "".join(
        one for one in unicodedata.normalize("NFKC", said) if unicodedata.category(one) != "Cf"
    ).strip()
    channel, colon, rest = visible.rpartition(":")
    prefix = f"{channel.lower()}:" if colon else ""
    if any(one.isalpha() for one in rest):
        return f"{prefix}{rest.strip()}"
    digits = _digits(rest)
    if rest.lstrip().startswith(("+", "00")) and _TRUNK.search(rest) and not _is_valid(digits):
        digits = _digits(_TRUNK.sub("", rest))
    if not prefix and "+" not in rest and _CODE.fullmatch(digits):
        return digits
    return f"{prefix}+{digits.removeprefix('00')}"


def _digits(text: str) -> str:
    return re.sub("[^0-9]", "", text)


def _is_valid(digits: str) -> bool:
    """Whether a number is one with its 0 in brackets, as in Italy."""
    try:
        parsed = phonenumbers.parse(f"+{digits.removeprefix('00')}")
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(parsed) and bool(parsed.italian_leading_zero)


def _ours(said: str) -> str:
    if _OURS.fullmatch(said) or any(one.isalpha() for one in said.rpartition(":")[2]):
        return said.strip()
    return _address(said)
