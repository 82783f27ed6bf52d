"""The audit's own reading of the rules about one person (R31, R32)."""

from __future__ import annotations

_AREA_DIGITS = {2, 3, 4}  # of Argentina; 11 is the only area of two


def subscriber_of(address: str) -> str:
    """Find the key of an address: the number in its one spelling, or the user id."""
    number = address.rpartition(":")[2]
    code, rest = number[:3], number[3:]
    if code == "+52" and len(rest) == 11 and rest[0] == "1":
        return code + rest[1:]
    if code == "+55" and len(rest) == 10 and rest[2] in "6789" and "0" not in rest[:2]:
        return f"{code}{rest[:2]}9{rest[2:]}"
    if code == "+54":
        return code + _argentinian(rest)
    return number


def id_in(key: str) -> str | None:
    """Find the user id in an entry's key; None where it has a number."""
    _, is_on_whatsapp, subscriber = key.partition("/whatsapp:")
    return subscriber if is_on_whatsapp and is_user_id(subscriber) else None


def is_user_id(subscriber: str) -> bool:
    """Whether it is a user id of WhatsApp: it begins with a country."""
    return not subscriber.startswith("+")


def _argentinian(rest: str) -> str:
    if len(rest) == 11 and rest[0] == "9":
        return rest[1:]
    if len(rest) != 12:
        return rest
    for digits in _AREA_DIGITS:
        area = rest[:digits]
        is_area = area == "11" if digits == 2 else area[0] in "23"
        if is_area and rest[digits : digits + 2] == "15":
            return area + rest[digits + 2 :]
    return rest
