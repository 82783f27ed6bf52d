"""The meaning of words by language: which concepts a text is made of (R30)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from processor.suspicion.reading import tokens_of
from processor.suspicion.slips import shortened

UNIVERSAL = "en"  # its words are read in texts of any language, below the language's own
OTHER = "x"  # a word without a meaning here
NEUTRAL = "func"  # a word that changes nothing
_DIGITS = "digits"
_SIGNS = {"|": "|", "?": "?", '"': '"', ">": ">"}
_FEWEST_OF_PREFIX = 3
_NEARLY = 0.75  # of the votes of the likeliest language, for a second to be read, too
_FEWEST_OF_SLIP, _MOST_OF_SLIP = 6, 16  # letters of a word that may have a slip
_MATTERING = frozenset(("stop", "unsub", "remove", "message", "contact"))

Tokens = tuple[str, ...]
_Longer = Mapping[str, tuple[tuple[tuple[str, ...], str], ...]]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words of a language and of the universal one, by their concepts."""

    language: str
    words: Mapping[str, str]
    beginnings: Mapping[str, str]
    longer: _Longer  # by first token: the tokens that follow, the longest first
    slips: Mapping[str, str]  # words that matter, and these without a letter


def named(concepts: str) -> frozenset[str]:
    """Concepts by their names with spaces between."""
    return frozenset(concepts.split())


@cache
def documents() -> Mapping[str, Mapping[str, object]]:
    """The data files, parsed, by language."""
    folder: Traversable = files("processor.suspicion") / "data"
    found = (path for path in folder.iterdir() if path.name.endswith(".toml"))
    read = [tomllib.loads(path.read_text("utf-8")) for path in found]
    return {str(each["language"]): each for each in sorted(read, key=lambda one: one["language"])}


@cache
def lexicons() -> Mapping[str, Lexicon]:
    """The lexicon of each language that has a data file with words."""
    own = {
        language: _entries(document["words"])
        for language, document in documents().items()
        if isinstance(document.get("words"), dict)
    }
    return {language: _lexicon(language, own[UNIVERSAL], own[language]) for language in own}


def expressions(words: object) -> list[tuple[str, ...]]:
    """The expressions of a string of the data files, each as its tokens."""
    assert isinstance(words, str), "a list of words is one string"
    return [tokens for word in words.split() if (tokens := _tokens(word))]


def languages_of(tokens: Tokens) -> list[str]:
    """The languages that a text may be in, the likeliest first; two at most."""
    votes: dict[str, float] = {}
    for token in tokens:
        for language, share in _votes(token):
            votes[language] = votes.get(language, 0.0) + share
    if not votes:
        return [UNIVERSAL]
    ranked = sorted(votes, key=lambda language: (-votes[language], language))
    return [each for each in ranked[:2] if votes[each] >= _NEARLY * votes[ranked[0]]]


def tagged(tokens: Tokens, language: str) -> Iterator[tuple[str, Tokens]]:
    """The concepts of a text, in order, each with its tokens."""
    lexicon = lexicons()[language]
    at = 0
    while at < len(tokens):
        concept, length = _at(lexicon, tokens, at)
        yield concept, tokens[at : at + length]
        at += length


def _at(lexicon: Lexicon, tokens: Tokens, at: int) -> tuple[str, int]:
    token = tokens[at]
    for rest, concept in lexicon.longer.get(token, ()):
        if tokens[at + 1 : at + 1 + len(rest)] == rest:
            return concept, 1 + len(rest)
    return _concept(lexicon.language, token), 1


@lru_cache(maxsize=65_536)
def _concept(language: str, token: str) -> str:
    lexicon = lexicons()[language]
    if token in lexicon.words:
        return lexicon.words[token]
    if token in _SIGNS:
        return _SIGNS[token]
    if token[0].isdigit():
        return _DIGITS
    return _by_beginning(lexicon.beginnings, token) or _by_slip(lexicon, token) or OTHER


def _by_beginning(beginnings: Mapping[str, str], token: str) -> str | None:
    for size in range(len(token), _FEWEST_OF_PREFIX - 1, -1):
        if concept := beginnings.get(token[:size]):
            return concept
    return beginnings.get(token[:2])


def _by_slip(lexicon: Lexicon, token: str) -> str | None:
    """The concept of a word that a slip of the finger made, where a slip matters."""
    if not (_FEWEST_OF_SLIP <= len(token) <= _MOST_OF_SLIP and token.isascii() and token.isalpha()):
        return None
    return next((lexicon.slips[form] for form in shortened(token) if form in lexicon.slips), None)


@lru_cache(maxsize=65_536)
def _votes(token: str) -> tuple[tuple[str, float], ...]:
    """The languages whose own words have a token, each with its share of one vote."""
    if token in _SIGNS or token[0].isdigit():
        return ()
    own = _own()
    knowing = [
        language
        for language, (words, beginnings) in own.items()
        if token in words or _by_beginning(beginnings, token)
    ]
    return tuple((language, 1 / len(knowing)) for language in knowing)


@cache
def _own() -> Mapping[str, tuple[frozenset[str], Mapping[str, str]]]:
    found = {}
    for language, document in documents().items():
        if isinstance(words := document.get("words"), dict):
            entries = _entries(words)
            parts = frozenset(part for tokens in entries for part in tokens if part[-1] != "*")
            found[language] = (parts, _beginnings(entries))
    return found


def _entries(words: object) -> Mapping[tuple[str, ...], str]:
    assert isinstance(words, dict), "words are a table of concepts"
    return {tokens: concept for concept, listed in words.items() for tokens in expressions(listed)}


def _tokens(word: str) -> tuple[str, ...]:
    tokens = tokens_of(word.replace("_", " "))
    return (*tokens[:-1], tokens[-1] + "*") if tokens and word.endswith("*") else tokens


def _beginnings(
    entries: Iterable[tuple[str, ...]] | Mapping[tuple[str, ...], str],
) -> dict[str, str]:
    assert isinstance(entries, Mapping)
    return {
        tokens[0][:-1]: concept
        for tokens, concept in entries.items()
        if len(tokens) == 1 and tokens[0].endswith("*")
    }


def _lexicon(
    language: str,
    universal: Mapping[tuple[str, ...], str],
    own: Mapping[tuple[str, ...], str],
) -> Lexicon:
    entries = {**universal, **own}
    longer: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for tokens, concept in sorted(entries.items(), key=lambda entry: -len(entry[0])):
        if len(tokens) > 1:
            longer.setdefault(tokens[0], []).append((tokens[1:], concept))
    return Lexicon(
        language,
        {tokens[0]: concept for tokens, concept in entries.items() if len(tokens) == 1},
        {**_beginnings(universal), **_beginnings(own)},
        {first: tuple(rest) for first, rest in longer.items()},
        _slips(entries),
    )


def _slips(entries: Mapping[tuple[str, ...], str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for tokens, concept in entries.items():
        word = tokens[0]
        matters = concept in _MATTERING and len(word) >= _FEWEST_OF_SLIP
        if len(tokens) == 1 and matters and word.isascii() and word.isalpha():
            found.update(dict.fromkeys(shortened(word), concept))
    return found
