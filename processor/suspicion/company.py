"""The company that keywords may have, and requests without keywords, by language (R30)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain

from processor.suspicion.lexicon import UNIVERSAL, documents, expressions

Tokens = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A place in a pattern: one of some expressions, perhaps none."""

    choices: frozenset[Tokens]
    sizes: tuple[int, ...]  # the numbers of tokens that its expressions have
    optional: bool


Pattern = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Company:
    """The data of one language, by the token that an entry may begin with."""

    polite: Part  # courtesy, anywhere
    lead: Part  # before a keyword: `reply`, `I said`
    after: Part  # behind a keyword: `to end`
    numbers: frozenset[str]  # before a short code: `STOP to 55022`
    objects: Mapping[str, tuple[Pattern, ...]]  # behind a keyword: `texting me`
    requests: Mapping[str, tuple[Pattern, ...]]
    footers: frozenset[Tokens]  # how a line begins that a phone adds
    vocabulary: frozenset[str]  # every token of these


@cache
def companies() -> Mapping[str, Company]:
    """The company of each language."""
    return {
        language: _company(document)
        for language, document in documents().items()
        if "company" in document
    }


@lru_cache(maxsize=65_536)
def speaking(token: str) -> frozenset[str]:
    """The languages that have a token in their company; all, where the universal one has it."""
    found = frozenset(
        language for language, company in companies().items() if token in company.vocabulary
    )
    universal = companies()[UNIVERSAL].polite
    return frozenset(companies()) if _says(universal, token) else found


def _says(part: Part, token: str) -> bool:
    return any(token in choice for choice in part.choices)


def ends_of(
    patterns: Mapping[str, tuple[Pattern, ...]], tokens: Sequence[str], at: int
) -> set[int]:
    """Where any of the patterns that match at a place ends."""
    found: set[int] = set()
    for pattern in patterns.get(tokens[at], ()) if at < len(tokens) else ():
        ends = {at}
        for part in pattern:
            ends = {end for start in ends for end in part_ends(part, tokens, start)}
        found |= ends
    return found


def part_ends(part: Part, tokens: Sequence[str], at: int) -> list[int]:
    """Where an expression of a part that matches at a place ends."""
    left = len(tokens) - at
    ends = [
        at + size
        for size in part.sizes
        if size <= left and tuple(tokens[at : at + size]) in part.choices
    ]
    return [*ends, at] if part.optional else ends


def _company(document: Mapping[str, object]) -> Company:
    given = document["company"]
    slots = document.get("slots", {})
    assert isinstance(given, dict)
    assert isinstance(slots, dict)
    polite, lead, after = (
        _part(expressions(given.get(name, ""))) for name in ("polite", "lead", "after")
    )
    numbers = frozenset(each[0] for each in expressions(given.get("numbers", "")))
    objects = _by_first(given.get("objects", []), slots)
    requests = _by_first(given.get("requests", []), slots)
    footers = frozenset(expressions(given.get("footers", "")))
    patterns = chain.from_iterable((*objects.values(), *requests.values()))
    parts = (polite, lead, after, *chain.from_iterable(patterns))
    vocabulary = {token for part in parts for choice in part.choices for token in choice}
    return Company(polite, lead, after, numbers, objects, requests, footers, numbers | vocabulary)


def _by_first(
    written: Iterable[str], slots: Mapping[str, str]
) -> Mapping[str, tuple[Pattern, ...]]:
    found: dict[str, list[Pattern]] = {}
    for each in written:
        pattern = tuple(_place(place, slots) for place in each.split())
        for first in _firsts(pattern):
            found.setdefault(first, []).append(pattern)
    return {first: tuple(patterns) for first, patterns in found.items()}


def _place(place: str, slots: Mapping[str, str]) -> Part:
    """A place as data files write it: `word`, `<slot>`, and either with `?` where it may lack."""
    name = place.removesuffix("?")
    words = slots[name[1:-1]] if name.startswith("<") else name
    return _part(expressions(words), optional=place.endswith("?"))


def _part(choices: Iterable[Tokens], *, optional: bool = False) -> Part:
    known = frozenset(choices)
    return Part(known, tuple(sorted({len(each) for each in known})), optional)


def _firsts(pattern: Pattern) -> set[str]:
    found: set[str] = set()
    for part in pattern:
        found |= {choice[0] for choice in part.choices}
        if not part.optional:
            break
    return found
