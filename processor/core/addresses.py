"""The subscriber key of an address: the same however the address is spelled (R31, R32)."""

from __future__ import annotations

import re
from collections.abc import Sequence

_FOLDED = "+5"  # as do the three calling codes below, and few others
_MEXICO = re.compile(r"\+521([0-9]{10})")
_BRAZIL = re.compile(r"(\+55[1-9]{2})([6-9][0-9]{7})")  # 2 to 5 is a fixed line, which gets no 9
_ARGENTINA = re.compile(r"\+549([0-9]{10})")
# An area is 11, or has three or four digits. A number has a 15 behind three or behind four digits,
# never both: its fifth digit is a 5 in the first case, and a 1 in the second.
_ARGENTINA_15 = re.compile(
    r"\+54(?:(11)15([0-9]{8})|([23][0-9]{2})15([0-9]{7})|([23][0-9]{3})15([0-9]{6}))"
)


def subscriber_key(address: str) -> str:
    """The key of every record about a recipient, and of the recipient's entries.

    A user id is its own key, and so is a number of nearly every country.

    Args:
        address: with or without its channel prefix.
    """
    subscriber = address.rpartition(":")[2]
    return _folded(subscriber) if subscriber.startswith(_FOLDED) else subscriber


def in_one_spelling(address: str) -> str:
    """An address with its channel prefix, and the subscriber key behind it."""
    if address[:1] == "+" and address[1:2] != "5":  # nearly all; no channel, not folded
        return address
    channel, colon, _ = address.rpartition(":")
    return channel + colon + subscriber_key(address)


def subscriber_keys(addresses: Sequence[str]) -> Sequence[str]:
    """As ``subscriber_key`` of each; most batches need one look at all of them."""
    joined = "\n".join(addresses)
    if ":" not in joined and _FOLDED not in joined:
        return addresses
    return list(map(subscriber_key, addresses))


def _folded(number: str) -> str:
    """One spelling of a number of Mexico, Brazil or Argentina (R32); others stay as written."""
    if found := _MEXICO.fullmatch(number):
        return f"+52{found[1]}"
    if found := _BRAZIL.fullmatch(number):
        return f"{found[1]}9{found[2]}"
    if found := _ARGENTINA.fullmatch(number):
        return f"+54{found[1]}"
    if found := _ARGENTINA_15.fullmatch(number):
        return "+54" + "".join(part for part in found.groups() if part)
    return number
