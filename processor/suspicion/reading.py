"""Split a text into the tokens that phrases and the score look at (R30)."""

from __future__ import annotations

import re
import unicodedata

from processor.core.characters import FOLDED, INVISIBLE, QUESTION_MARKS

MAX_HEAD = 240  # characters read of a text's beginning
MAX_TAIL = 120  # and of its end, where a long text often has its request

BREAK = "|"
_CUT = "…"  # behind a word that goes on
_GAP = "\n" * 32  # wider than the distance at which ``Glance`` takes two stems together
QUOTE = '"'
_SIGNS = {
    **dict.fromkeys(".!;:,\n।॥。、，！：；·…¡۔،؛", BREAK),
    **dict.fromkeys('"“”„‟«»‹›「」『』〝〞〟', QUOTE),
    **dict.fromkeys(QUESTION_MARKS, "?"),
    "#": "#",
    ">": ">",
}
# Letters that NFD does not take apart, and Arabic letters that people write alike.
_ALIKE = str.maketrans("łøđıأإآٱىة’‘ʼ`´", "lodiاااايه'''''")
_SUFFIX = re.compile(r"(?<=[a-z])'(?=(?:t|s|m|re|ve|ll|d)\b)")
_LONG = re.compile(r"([^\W\d_])\1{2,}")  # a letter that is drawn out, as in `stoooop`
_TO = re.compile("(?<=[a-z])[24](?=[a-z])")  # `stop2end`
_O = re.compile("(?<=[a-z])[0\U0001f6d1\u2b55\U0001f17e\U0001f6ab\u26d4](?=[a-z])")  # `st0p`
_SPACELESS = "\u0e00-\u0e7f\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
# Vowel signs and other marks of words.
MARKS = "\u0300-\u036f\u064b-\u065f\u0900-\u0963\u0966-\u0dff\u0f00-\u109f\u1780-\u17d3"
# A word, or one character of a script without spaces (Thai, kana, Han), or one sign.
_TOKEN = re.compile(
    f"[{_SPACELESS}]|(?:(?![_{_SPACELESS}])[\\w{MARKS}])+"
    f"|[{re.escape(''.join(_SIGNS))}]|[\u2190-\u2bff\U0001f000-\U0001faff]"
)


def capped(body: str) -> str:
    """The beginning and the end of a long text, both cut between words; a short text itself."""
    if len(body) <= MAX_HEAD + MAX_TAIL:
        return body
    head, tail = body[:MAX_HEAD], body[-MAX_TAIL:]
    space = head.rfind(" ") + 1
    head = head[:space] if space else head + _CUT
    space = tail.find(" ")
    return head + (_GAP + tail[space:] if space >= 0 else "")


def tokens_of(text: str) -> tuple[str, ...]:
    """The words of a text and the signs that matter, folded; clause breaks are ``BREAK``.

    A question mark of any script is ``?``, a quotation mark of any kind is ``QUOTE``. An emoji is a
    token. Han, kana and Thai are read by character.
    """
    found = _TOKEN.findall(_folded(text))
    return tuple([_SIGNS.get(token, token) for token in found])


def _folded(text: str) -> str:
    """The text in lower case, without accents and invisible characters."""
    if text.isascii():
        text = text.lower()
    else:
        text = unicodedata.normalize("NFKD", INVISIBLE.sub("", text).casefold())
        text = unicodedata.normalize("NFC", FOLDED.sub("", text)).translate(_ALIKE)
    if "'" in text:
        text = _SUFFIX.sub("", text)
    return _TO.sub(r" \g<0> ", _LONG.sub(r"\1", _O.sub("o", text)))
