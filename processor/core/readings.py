"""The words that a body may be read as: repeated, spelled, joined, in letters that look alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from processor.core.characters import (
    BETWEEN_LETTERS,
    FOLDED,
    INVISIBLE,
    JOINTS,
    QUESTION_MARKS,
    is_kept,
    is_of_letters,
    is_of_syllables,
    letters_in,
    with_greek_questions,
)
from processor.core.lookalikes import SCRIPTS
from processor.core.normalise import clean, plain, trimmed

_FEWEST_PARTS = 2  # letters in each part of a joined word
_FEWEST_JOINED = 5  # letters in a joined word
_FEWEST_SPELLED = 4  # letters in a word that is spelled
_SPELLED_TOO = "end"  # though shorter: the law names it
_LATIN = {
    ord(letter): latin
    for letters in SCRIPTS.values()
    for letter, latin in zip(*letters, strict=True)
}
# A letter like a capital I is an L in the table.
_LATIN_I = {letter: "i" if latin == "l" else latin for letter, latin in _LATIN.items()}
_SCRIPT_OF = {letter: script for script, (letters, _) in SCRIPTS.items() for letter in letters}


@dataclass(frozen=True, slots=True)
class Readings:
    """The forms of a body, in the order in which they are looked up."""

    start: str
    stop: tuple[str, ...]
    help: tuple[str, ...]  # besides those of ``stop``


@dataclass(frozen=True, slots=True)
class Disguise:
    """A body with letters of other scripts read as the Latin letters they look like."""

    readings: Readings
    whole: bool  # all its letters are of one other script, in which it may be a word


@lru_cache(maxsize=1_024)  # people write the same word in few ways
def readings(body: str) -> Readings:
    """The forms that decide where the exact form of a body matches nothing (R13)."""
    return _readings(plain(body), clean(body))


def disguises(body: str) -> Iterator[Disguise]:
    """The body in Latin letters, if it has letters of other scripts that look like them."""
    # NFKC makes a semicolon of the Greek question mark, as in ``exact``.
    seen = unicodedata.normalize("NFKC", INVISIBLE.sub("", body).replace("\u037e", "?"))
    seen = with_greek_questions(FOLDED.sub("", unicodedata.normalize("NFD", seen)))
    scripts = {_SCRIPT_OF.get(letter, "Latin") for letter in seen if is_of_letters(letter)}
    for latin in dict.fromkeys((seen.translate(_LATIN), seen.translate(_LATIN_I))):
        word = trimmed(plain(latin))
        if latin != seen and word.isascii():
            yield Disguise(_readings(word, ""), len(scripts) == 1)


def _readings(text: str, start: str) -> Readings:
    word = trimmed(text)
    stop = tuple(dict.fromkeys(_spellings(word, "")))
    # A question mark behind HELP does not make it a doubt.
    asked = trimmed(text, QUESTION_MARKS)
    help_ = dict.fromkeys(_spellings(asked, QUESTION_MARKS)) if asked != word else ()
    return Readings(start, stop, tuple(form for form in help_ if form not in stop))


def _spellings(word: str, dropped: str) -> Iterator[str]:
    """The forms of a trimmed text, itself first.

    Args:
        word: to be read.
        dropped: characters that end a word besides those that no word keeps.
    """
    yield JOINTS.sub(" ", word)
    words, gaps = _split(word, dropped)
    for size in range(1, len(words) + 1):
        if len(words) % size == 0 and words[:size] * (len(words) // size) == words:
            within = [gap for at, gap in enumerate(gaps, 1) if at % size]
            yield from _unit(words[:size], within)


def _split(word: str, dropped: str) -> tuple[list[str], list[str]]:
    """The words of a text, and the gaps between them."""
    words: list[str] = []
    gaps: list[str] = []
    start, was_kept = 0, True
    for at, character in enumerate(word):
        kept = is_kept(character) and character not in dropped
        if kept is not was_kept:
            (words if was_kept else gaps).append(word[start:at])
            start, was_kept = at, kept
    return [*words, word[start:]], gaps


def _unit(parts: Sequence[str], gaps: Sequence[str]) -> Iterator[str]:
    """The forms of a keyword that a text repeats, once or more.

    Args:
        parts: its words.
        gaps: all gaps within it, in each repetition.
    """
    joined = "".join(parts)
    if all(map(JOINTS.fullmatch, gaps)):
        yield " ".join(parts)
        if _is_joined(parts):
            yield joined
    if all(map(BETWEEN_LETTERS.fullmatch, gaps)) and _is_spelled(parts):
        yield joined


def _is_joined(parts: Sequence[str]) -> bool:
    """Whether parts may be those of one word, such as `opt out`; `st op` is too short."""
    if all(map(is_of_syllables, parts)):
        return True
    sizes = [letters_in(part) for part in parts]
    long_enough = min(sizes) >= _FEWEST_PARTS and sum(sizes) >= _FEWEST_JOINED
    return long_enough and all(map(is_of_letters, parts))


def _is_spelled(parts: Sequence[str]) -> bool:
    """Whether parts are the single letters of a word."""
    long_enough = len(parts) >= _FEWEST_SPELLED or "".join(parts) == _SPELLED_TOO
    return long_enough and all(letters_in(part) == 1 and is_of_letters(part) for part in parts)
