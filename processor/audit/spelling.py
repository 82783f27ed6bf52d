"""How people write a keyword: the checker's own forms of a text (R13).

For texts in ASCII the forms are complete. Elsewhere the rule has edges, such as which signs count
as emoji. There they leave out what is not sure; ``letters_agree`` passes everything that may be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby

from processor.audit.standard import STANDARD

_JOINTS = re.compile(r"[\s_\-\u2010-\u2015\u2043\u2212]+")
_BETWEEN_LETTERS = re.compile(r"[\s.\-\u00b7\u2022\u2010-\u2015\u2043\u2212]+")
_GREEK = "[\u0370-\u03ff\u1f00-\u1fff]"
_AFTER_GREEK = re.compile(rf"({_GREEK}[^\w;]*);")
_BEFORE_GREEK = re.compile(rf";([^\w;]*{_GREEK})")
_PICTURES = ((0x2600, 0x26FF), (0x1F300, 0x1F64F), (0x1F680, 0x1F6FF), (0x1F900, 0x1F9FF))
_SAYING_NO = frozenset("🚫⛔❌❎✖✗✘👎🛑🙅📵🔕")
_AROUND = ".,!:*_\"'`()[]{}<>«»“”‘’„‚"
_SYLLABLES = ("CJK ", "HIRAGANA ", "KATAKANA ", "HANGUL ", "IDEOGRAPHIC ")
_UNMISTAKABLE = frozenset(word for kind in ("STOP", "HELP") for word in STANDARD[kind][0])
_LIKE = {
    "\u0455": "s", "\u0442": "t", "\u03c4": "t", "\u043e": "o", "\u03bf": "o", "\u0440": "p",
    "\u03c1": "p", "\u043d": "h", "\u04bb": "h", "\u03b7": "h", "\u0435": "e", "\u03b5": "e",
    "\u04cf": "l",
}  # fmt: skip
_LOOKED_LIKE = frozenset(("stop", "help"))  # surely read where letters only look Latin
_FEWEST_DISGUISED = 3  # letters of a keyword


@lru_cache(65_536)
def _is_invisible(character: str) -> bool:
    code = ord(character)
    return (
        (unicodedata.category(character) == "Cc" and re.match(r"[\t-\r\x85]", character) is None)
        or unicodedata.category(character) == "Cf"
        or code == 0x034F
        or 0x180B <= code <= 0x180F
        or 0xFE00 <= code <= 0xFE0F
        or 0xE0100 <= code <= 0xE01EF
    )


def _visible(text: str) -> str:
    return "".join(one for one in text if not _is_invisible(one)).replace("\u037e", "?")


def exact(text: str) -> str:
    """Fold case and compatible spellings, drop what cannot be seen, and trim."""
    if text.isascii() and text.isprintable():
        return text.strip().lower()
    before = None
    while text != before:
        before = text
        once = unicodedata.normalize("NFKC", _visible(text)).casefold()
        text = unicodedata.normalize("NFKC", once).strip()
    return text


@lru_cache(65_536)
def _is_accent(character: str) -> bool:
    """Whether a mark is an accent of a letter, or an Arabic vowel sign; hamza and madda are not."""
    if "\u0300" <= character <= "\u036f" or character == "\u0640":
        return True
    return (
        unicodedata.category(character) == "Mn"
        and unicodedata.name(character, "").startswith("ARABIC")
        and not "\u0653" <= character <= "\u0655"
    )


def plain(text: str) -> str:
    """Drop the accents, too; a dotless i becomes an i, and a Greek question mark asks."""
    if text.isascii():
        return exact(text)
    before = None
    while text != before:
        before = text
        apart = unicodedata.normalize("NFD", exact(text))
        text = exact("".join("i" if one == "ı" else one for one in apart if not _is_accent(one)))
    return _BEFORE_GREEK.sub(r"?\1", _AFTER_GREEK.sub(r"\1?", text)) if ";" in text else text


@lru_cache(65_536)
def _asks(character: str) -> bool:
    return any(word in unicodedata.name(character, "") for word in ("QUESTION", "INTERROBANG"))


@lru_cache(65_536)
def _stays(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN" or _asks(character)


def _trimmed(text: str, ends: str) -> str:
    places = [at for at, one in enumerate(text) if _stays(one) and one not in ends]
    return text[places[0] : places[-1] + 1] if places else ""


def readings(text: str) -> tuple[str, ...]:
    """The words that a text surely is read as, for STOP; for HELP besides ``asked``."""
    return tuple(dict.fromkeys(_readings(_trimmed(plain(text), ""), "")))


def asked(text: str) -> tuple[str, ...]:
    """The words that a text is read as where a question mark at its end does not count."""
    given = plain(text)
    word = _trimmed(given, "?")
    return () if word == _trimmed(given, "") else tuple(dict.fromkeys(_readings(word, "?")))


def _readings(word: str, ends: str) -> Iterator[str]:
    yield _JOINTS.sub(" ", word)
    runs = ["".join(run) for _, run in groupby(word, lambda one: _stays(one) and one not in ends)]
    words, gaps = runs[::2], runs[1::2]
    for size in range(1, len(words) + 1):
        times, rest = divmod(len(words), size)
        if not rest and words == words[:size] * times:
            within = [gap for at, gap in enumerate(gaps, 1) if at % size]
            yield from _once(words[:size], within)


def _once(words: Sequence[str], gaps: Sequence[str]) -> Iterator[str]:
    """The words that parts are, said once."""
    if all(_JOINTS.fullmatch(gap) for gap in gaps):
        yield " ".join(words)
        if _is_split(words):
            yield "".join(words)
    is_long = len(words) >= 4 or [*words] == [*"end"]
    if is_long and all(map(_is_letter, words)) and all(map(_BETWEEN_LETTERS.fullmatch, gaps)):
        yield "".join(words)


def _is_split(words: Sequence[str]) -> bool:
    if all(unicodedata.name(one, "").startswith(_SYLLABLES) for one in "".join(words)):
        return True
    letters = [one for one in "".join(words) if unicodedata.category(one)[0] == "L"]
    return (
        all(set(map(_class_of, word)) <= {"L", "M"} and _letters_in(word) >= 2 for word in words)
        and len(letters) >= 5
    )


def _class_of(character: str) -> str:
    return unicodedata.category(character)[0]


def _letters_in(word: str) -> int:
    return sum(_class_of(one) == "L" for one in word)


def _is_letter(word: str) -> bool:
    return set(map(_class_of, word)) <= {"L", "M"} and _letters_in(word) == 1


def forms_of(keyword: str) -> tuple[str, ...]:
    """The forms by which a keyword of STOP or HELP is found; none without a letter."""
    form = _JOINTS.sub(" ", _trimmed(plain(keyword), ""))
    return tuple({form, form.replace(" ", "")}) if _letters_in(form) else ()


def disguised(text: str) -> str | None:
    """Find STOP or HELP in a text whose letters of other scripts surely look Latin."""
    if text.isascii():
        return None
    latin = _trimmed("".join(_LIKE.get(one, one) for one in plain(text)), "")
    forms = readings(latin) if latin.isascii() else ()
    return next((form for form in forms if form in _LOOKED_LIKE), None)


def consent(text: str) -> str:
    """Drop the signs around a word that surely do not count in a consent."""
    return _without(exact(text), _surely_decorates)


def perhaps_consent(text: str) -> str:
    """Drop all signs around a word that may not count in a consent."""
    return _without(exact(text), _may_decorate)


def _without(text: str, drops: Callable[[str], bool]) -> str:
    places = [at for at, one in enumerate(text) if not drops(one)]
    return text[places[0] : places[-1] + 1] if places else ""


def _surely_decorates(character: str) -> bool:
    is_picture = any(low <= ord(character) <= high for low, high in _PICTURES)
    said_no = character in _SAYING_NO or _asks(character)
    return character in _AROUND or character.isspace() or (is_picture and not said_no)


def _may_decorate(character: str) -> bool:
    if character.isascii():
        return character in _AROUND or character.isspace()
    return not _stays(character) and character not in _SAYING_NO


def wide(text: str) -> str:
    """Reduce a text to its letters and digits, without accents and surely Latin."""
    letters = "".join(_LIKE.get(one, one) for one in plain(text))
    return re.sub(r"[\W_]+", "", letters) or exact(text)


def period(text: str) -> str:
    """Find the shortest text of which a text is a repetition."""
    return text[: (text + text).find(text, 1)] if text else ""


def letters_agree(body: str, keyword: str, *, may_ask: bool) -> bool:
    """Whether the letters of a body may be those of a keyword, once or repeated."""
    if not may_ask and any(map(_asks, plain(body))):
        return False
    key = wide(keyword)
    return period(wide(body)) == period(key) or _may_look_like(body, key)


def _may_look_like(body: str, key: str) -> bool:
    """Whether a body has a keyword's Latin letters, or letters of other scripts in their place."""
    apart = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", body))
    letters = [one for one in apart if _class_of(one) == "L" and not _is_accent(one)]
    scripts = {unicodedata.name(one, "").split(" ")[0] for one in letters}
    times, rest = divmod(len(letters), len(key))
    return (
        key.isascii()
        and times > 0
        and not rest
        and _letters_in(key) >= _FEWEST_DISGUISED
        and (len(scripts) > 1 or key in _UNMISTAKABLE)
        and all(
            not one.isascii() or one.lower() == its
            for one, its in zip(letters, key * times, strict=True)
        )
    )
