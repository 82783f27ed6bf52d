"""The cost of a text as SMS: its encoding, and the number of parts it is sent in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

# GSM 03.38 without its escape, and the extension table: escape and character take a unit each.
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")


class Encoding(StrEnum):
    """How an SMS carries its text; one character outside GSM-7 makes the whole text UCS-2."""

    GSM_7 = "GSM-7"
    UCS_2 = "UCS-2"


# Units in a single message, and in each part of several: each part needs a header.
_ROOM = {Encoding.GSM_7: (160, 153), Encoding.UCS_2: (70, 67)}


@dataclass(frozen=True, slots=True)
class Segments:
    """The encoding and size of a text, as sent and billed."""

    encoding: Encoding
    units: int  # septets of GSM-7, UTF-16 code units of UCS-2
    segments: int


def segments_of(text: str) -> Segments:
    """How a text is encoded, and in how many SMS parts it is sent; an empty text is one message.

    A character of two units (an escape, a surrogate pair) is never split across parts. So a text
    may need a part more than its number of units suggests.

    Source: 3GPP TS 23.038 6.2.1 and TS 23.040 9.2.3.24.1.
    """
    letters = set(text)
    if letters <= _BASIC | _EXTENSION:
        return _packed(Encoding.GSM_7, [2 if letter in _EXTENSION else 1 for letter in text])
    return _packed(Encoding.UCS_2, [2 if letter > "\uffff" else 1 for letter in text])


def _packed(encoding: Encoding, sizes: Sequence[int]) -> Segments:
    whole, part = _ROOM[encoding]
    units = sum(sizes)
    if units <= whole:
        return Segments(encoding, units, 1)
    parts = left = 0
    for size in sizes:
        if size > left:
            parts, left = parts + 1, part
        left -= size
    return Segments(encoding, units, parts)
