"""R13: the prefilter is sound for every code point of Unicode, wherever it is in a text."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from processor.core.policy import OptOutConfig, Policy
from tests.builders import sets

WORDS = ("stop", "start", "help", "ΣΤΟΠ", "إلغاء", "बंद", "退订", "İptal")
POLICY = Policy(OptOutConfig(standard=sets(stop="στοπ, إلغاء, बंद, 退订, iptal, 1, ⛔")))


def around(word: str, character: str) -> Iterator[str]:
    """The character before, behind, inside and between words."""
    yield character + word
    yield word + character
    yield word[:1] + character + word[1:]
    yield word + character + word
    yield character.join(word)


def unsound(texts: Iterator[str]) -> list[str]:
    """Texts that match and do not pass."""
    return [
        text
        for text in texts
        if not POLICY.may_match(text) and POLICY.match(text, None) is not None
    ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_code_point_alone_matches_without_passing() -> None:
    assert unsound(map(chr, range(sys.maxunicode + 1))) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("word", ["stop", "إلغاء"])
def test_no_code_point_makes_a_keyword_match_without_passing(word: str) -> None:
    found = (
        wrong for code in range(sys.maxunicode + 1) for wrong in unsound(around(word, chr(code)))
    )
    assert list(found) == []


@pytest.mark.parametrize("word", WORDS)
def test_no_common_code_point_makes_a_keyword_match_without_passing(word: str) -> None:
    """Latin, Greek and Cyrillic, signs, presentation forms and emoji."""
    codes = (
        *range(0x2000, 0x3040),
        *range(0x600),
        *range(0xFE00, 0x10000),
        *range(0x1F300, 0x1F700),
    )
    assert [wrong for code in codes for wrong in unsound(around(word, chr(code)))] == []
