"""The parts of words by which a text is picked for assessment (R30).

A text is folded byte by byte, in one pass over a whole batch: letters to lower case, common
accents off, digits and punctuation to spaces. Patterns are folded in the same way, so that folding
loses no match.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

STEMS = "stems.json"
SEPARATOR = "\x1e"  # between the texts of a batch
_SPACELESS = re.compile("[\u0e00-\u0e7f\u3005-\u30ff\u3400-\u9fff]")
_PLAIN = "aaaaaaaceeeeiiiidnooooo ouuuuyts" * 2  # Latin-1 letters by their last six bits


def _table() -> bytes:
    """A byte for each byte; the separator and bytes of other scripts stay."""
    table = bytearray(range(256))
    for code in range(128):
        sign = chr(code)
        if sign != SEPARATOR and not sign.isalpha():
            table[code] = ord(" ")
        elif sign.isupper():
            table[code] = ord(sign.lower())
    for at, letter in enumerate(_PLAIN):
        table[128 + at] = ord(letter)
    return bytes(table)


TABLE = _table()
LEAD = b"\xc3"  # byte of Latin-1 letters, which is dropped
CURLY = "’".encode()  # phones write either apostrophe


@dataclass(frozen=True, slots=True)
class Stems:
    """Patterns as text, with a space at the edge of a word."""

    strong: tuple[str, ...]  # any of them picks a text
    weak: tuple[str, ...]  # two different stems do


@cache
def stems() -> Stems:
    """The patterns that ship with the package, made by `python -m tests.suspicion`."""
    given: Mapping[str, list[str]] = json.loads(
        (files("processor.suspicion") / "data" / STEMS).read_text("utf-8")
    )
    return Stems(tuple(given["strong"]), tuple(given["weak"]))


def folded(text: str) -> bytes:
    """A text, or texts between separators, as patterns are searched in."""
    return folded_bytes(text.encode("utf-8", "surrogatepass"))


def folded_bytes(text: bytes) -> bytes:
    """As ``folded``, of UTF-8."""
    return text.replace(CURLY, b"'").translate(TABLE, LEAD)


def batch(bodies: Iterable[str]) -> bytes:
    """Texts as they are searched: each has a space at either end, a separator is between two."""
    return f" {f' {SEPARATOR} '.join(bodies)} ".encode("utf-8", "surrogatepass")


def is_spaceless(text: str) -> bool:
    """Whether a stem is of a script without spaces; folding leaves too little of it to be sure."""
    return _SPACELESS.search(text) is not None


def patterns_of(stem: str) -> set[bytes]:
    """A stem in either case; of ASCII both are the same."""
    if stem.isascii():
        return {folded(stem)}
    return {folded(form) for form in (stem, stem.lower(), stem.upper(), stem.title())}
