"""When two texts are the same keyword: the exact and the tolerant form of a body (R13)."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from unicodedata import combining

# Keywords that people also write as two words: such a spelling matches if the keyword is
# configured. U+2010 is NFKC's form of the non-breaking hyphen.
ALIASES = {
    joined: tuple(f"{first}{mark}{second}" for mark in (" ", "-", "\u2010"))
    for joined, first, second in (("optout", "opt", "out"), ("stopall", "stop", "all"))
}
# Characters that either form may strip from the ends of an ASCII text; see `core_of`.
_ASCII_OUTSIDE = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f.!,\"'`"

# Unicode's format characters (category Cf), and the selector that turns a sign into an emoji.
_FORMAT = (
    "\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u2064\u2066-\u206f\ufe0f\ufeff\ufff9-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001"
    "\U000e0020-\U000e007f"
)
_INVISIBLE = re.compile(f"[{_FORMAT}]")
# Unicode's Extended_Pictographic, skin tones and flags, rounded to whole blocks where the rest of a
# block is pictures too. Circled digits and letters are left out, because they have a meaning.
_EMOJI = (
    "\u00a9\u00ae\u2194-\u2199\u21a9-\u21aa\u231a-\u231b\u2328\u23cf\u23e9-\u23fa\u25aa-\u25ab"
    "\u25b6\u25c0\u25fb-\u25fe\u2600-\u2775\u2794-\u27bf\u2934-\u2935\u2b05-\u2b07\u2b1b-\u2b1c"
    "\u2b50-\u2b55\u3030\u303d\U0001f000-\U0001f0ff\U0001f170-\U0001faff\U0001fc00-\U0001fffd"
)
_WHITE_SPACE = "\t-\r\x1c-\x20\x85\u1680\u2028-\u2029"  # the white space that NFKC leaves


def _every(ranges: str) -> str:
    spans = re.findall("(.)-(.)|(.)", ranges, re.DOTALL)
    return "".join(
        one or "".join(map(chr, range(ord(first), ord(last) + 1))) for first, last, one in spans
    )


# Decoration at the ends of a body; NFKC turns an ellipsis into three dots. "?" and ";" (the Greek
# question mark) are not decoration: `STOP?` is a question.
_DECORATION = ".!," + _every(_WHITE_SPACE) + _every(_EMOJI)
_QUOTES = "\"'`\u00ab\u00bb\u2018-\u201f\u2039\u203a\u300c-\u300f"
_QUOTED = re.compile(f"[{_QUOTES}](.*)[{_QUOTES}]", re.DOTALL)
_NO_LETTER = frozenset(_DECORATION + _every(_QUOTES) + _every(_FORMAT))
# The marks that NFD separates from Latin, Greek and Cyrillic letters. Marks of other scripts
# (vowels in Hindi, voicing in Japanese) change the word, so they stay.
_ACCENTS = re.compile("[\u0300-\u036f]")
# Case-folded Cyrillic and Greek letters that look like letters of "stop" and "help", as small
# letters or as capitals (a Cyrillic capital EN looks like an H).
_LOOKALIKES = str.maketrans(
    {
        **dict.fromkeys("\u0455", "s"),
        **dict.fromkeys("\u0442\u03c4", "t"),
        **dict.fromkeys("\u043e\u03bf", "o"),
        **dict.fromkeys("\u0440\u03c1", "p"),
        **dict.fromkeys("\u043d\u04bb\u03b7", "h"),
        **dict.fromkeys("\u0435\u03b5", "e"),
        **dict.fromkeys("\u04cf\u03b9", "l"),
    }
)


def exact(text: str) -> str:
    """The form that texts of the same keyword share: NFKC, trimmed, case-folded.

    Applying it twice is the same as applying it once.
    """
    if text.isascii():
        return text.strip().lower()
    while True:
        # One pass is not always enough: a folded letter may have a form that NFKC changes again.
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        folded = folded.strip()
        if folded == text:
            return folded
        text = folded


def tolerant(text: str) -> str:
    """The form that decides STOP and HELP where an exact match failed (R13).

    On top of ``exact``: it removes invisible characters, accents, outer decoration and one layer of
    quotes. Letters that look like those of `stop` and `help` become those letters. Applying it
    twice is the same as applying it once.
    """
    word = (exact(text) if text.isascii() else _plain_letters(text)).strip(_DECORATION)
    if quoted := _QUOTED.fullmatch(word):
        inner = quoted[1].strip(_DECORATION)
        # Two layers quote a quotation, which is not a keyword: left as they are.
        word = word if _QUOTED.fullmatch(inner) else inner
    seen_as = word if word.isascii() else word.translate(_LOOKALIKES)
    return seen_as if seen_as in ("stop", "help") else word


def tolerant_forms(keyword: str) -> tuple[str, ...]:
    """Every tolerant form of a keyword: its own, and its spellings as two words."""
    form = tolerant(keyword)
    # A keyword of decoration only, such as an emoji, has no tolerant form: no text would match it.
    return (form, *ALIASES.get(form, ())) if form else ()


def core_of(ascii_text: str) -> str:
    """The part that every form of an ASCII text shares with its keyword: a cheap, sound prefilter.

    Two ASCII texts with equal exact or tolerant forms have equal cores. The core alone rules out
    most messages.
    """
    return ascii_text.strip(_ASCII_OUTSIDE).lower()


def ends_of(text: str) -> str:
    """The first two letters and the last letter of any form of a text, without marks.

    Two texts with equal exact or tolerant forms have equal ends. This is the prefilter for texts
    that are not ASCII, whose forms cost much more. A text without letters has no ends: "".
    """
    first = ""
    for character in text:
        first += _letters(character)
        if len(first) > 1:
            break
    if not first:
        return ""
    return first[:2] + next(filter(None, map(_letters, reversed(text))))[-1]


@lru_cache(maxsize=65_536)
def _letters(character: str) -> str:
    bare = unicodedata.normalize("NFD", exact(character)).translate(_LOOKALIKES)
    return "".join(one for one in bare if one not in _NO_LETTER and not combining(one))


def _plain_letters(text: str) -> str:
    while True:
        bare = _ACCENTS.sub("", unicodedata.normalize("NFD", _INVISIBLE.sub("", exact(text))))
        bare = exact(bare)
        if bare == text:
            return bare
        text = bare
