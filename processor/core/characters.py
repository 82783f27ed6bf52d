"""The characters that matching drops, keeps or reads alike (R13)."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache


def _every(ranges: str) -> str:
    spans = re.findall("(.)-(.)|(.)", ranges, re.DOTALL)
    return "".join(
        one or "".join(map(chr, range(ord(first), ord(last) + 1))) for first, last, one in spans
    )


# Control characters that are not white space (category Cc), format characters (Cf), Unicode's
# variation selectors, and the combining grapheme joiner U+034F.
INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
    "\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0001\U000e0020-\U000e007f\U000e0100-\U000e01ef]"
)
# Every question mark that has a name of its own, the signs and emoji among them.
QUESTION_MARKS = (
    "?\u00bf\u055e\u061f\u1367\u1945\u203d\u225f\u2370\u2753\u2754\u2a7b\u2a7c\u2cfa\u2cfb\u2e18"
    "\u2e2e\u2e54\ua60f\ua6f7\U00011143\U0001e95f\U0001f679\U0001f67a\U0001f67b\U0001fbc4"
)
_QUESTION_MARKS = frozenset(QUESTION_MARKS)
_GREEK = "[\u0370-\u03ff\u1f00-\u1fff]"
_GREEK_QUESTIONS = (re.compile(f"({_GREEK}\\W*?)();"), re.compile(f"();(\\W*{_GREEK})"))

# Unicode's Extended_Pictographic, skin tones and flags, rounded to whole blocks where the rest of a
# block is pictures too. Circled digits and letters are left out, because they have a meaning.
_EMOJI = _every(
    "\u00a9\u00ae\u2194-\u2199\u21a9-\u21aa\u231a-\u231b\u2328\u23cf\u23e9-\u23fa\u25aa-\u25ab"
    "\u25b6\u25c0\u25fb-\u25fe\u2600-\u2775\u2794-\u27bf\u2934-\u2935\u2b05-\u2b07\u2b1b-\u2b1c"
    "\u2b50-\u2b55\u3030\u303d\U0001f000-\U0001f0ff\U0001f170-\U0001faff\U0001fc00-\U0001fffd"
)
_SAYING_NO = "🚫⛔❌❎✖✗✘👎🛑🙅📵🔕"
_WHITE_SPACE = _every("\t-\r\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000")
_QUOTES = "\"'`«»‹›" + _every("\u2018-\u201f") + "〝〞〟"
_BRACKETS = "()[]{}<>⟨⟩〈〉《》「」『』【】〔〕〖〗〘〙"
# The signs `. , ! : * _`, and those of them that other scripts write otherwise.
_MARKS = ".,!:*_¡。、،٬۔।॥።፣፡։՜՝‚"
AROUND_CONSENT = "".join(
    (set(_WHITE_SPACE + _QUOTES + _BRACKETS + _MARKS + _EMOJI) - set(_SAYING_NO)) - _QUESTION_MARKS
)
"""Characters around a keyword of START that change nothing: none doubts, and none says no."""

_DASHES = "\\-\u058a\u05be\u1400\u1806\u2010-\u2015\u2043\u2212\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c"
_DASHES += "\u3030\u30a0\U00010ead"
JOINTS = re.compile(f"[\\s_{_DASHES}]+")
"""White space, dashes and underscores, which people put into joined words."""
BETWEEN_LETTERS = re.compile(f"[\\s.·•∙⋅・。{_DASHES}]+")
"""White space, dots and dashes, which people put between the letters of a word."""

# The marks that NFD separates from Latin, Greek and Cyrillic letters, Arabic vowel signs, and the
# tatweel. Marks of other scripts (vowels in Hindi, voicing in Japanese) change the word; so do
# Arabic hamza and madda.
FOLDED = re.compile(
    "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20dc\ufe20-\ufe2f"
    "\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8"
    "\u06ea-\u06ed\u0897-\u089f\u08ca-\u08e1\u08e3-\u08ff]"
)
# Scripts that are written without spaces between words, or in syllables: even one character is a
# part of a word. Han, kana and Hangul.
_SYLLABLES = re.compile(
    "[\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff"
    "\U00020000-\U0003ffff]+"
)


@lru_cache(maxsize=65_536)
def is_kept(character: str) -> bool:
    """Whether a word keeps it at its ends: a letter, a mark, a digit or a question mark."""
    return unicodedata.category(character)[0] in "LMN" or character in _QUESTION_MARKS


@lru_cache(maxsize=65_536)
def is_letter(character: str) -> bool:
    """Whether it is a letter."""
    return unicodedata.category(character)[0] == "L"


def is_of_letters(word: str) -> bool:
    """Whether a word has letters only, with their marks."""
    return all(unicodedata.category(character)[0] in "LM" for character in word)


def letters_in(word: str) -> int:
    """How many letters a word has; marks do not count."""
    return sum(map(is_letter, word))


def is_of_syllables(word: str) -> bool:
    """Whether a word is written in Han, kana or Hangul."""
    return _SYLLABLES.fullmatch(word) is not None


def with_greek_questions(text: str) -> str:
    """A text with a question mark for each semicolon beside Greek letters, where it is one."""
    if ";" in text:
        for question in _GREEK_QUESTIONS:
            text = question.sub(r"\1?\2", text)
    return text
