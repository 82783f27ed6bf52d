"""Opt-outs by phrase: a keyword in plain company, or a fixed request (R30)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set

from processor.suspicion.company import Company, companies, ends_of, part_ends, speaking
from processor.suspicion.keywords import Keyword, Keywords
from processor.suspicion.lexicon import UNIVERSAL, named, tagged
from processor.suspicion.reading import BREAK, QUOTE, tokens_of

MAX_TOKENS = 24  # of a phrase without its signature
_MAX_LINES = 6  # of a text with a signature
_SIGNS_OF_STOP = frozenset("🙏🛑✋🚫❌😡🤬😠😤👎🙄🖕⛔🔕😒✌👋🏻🏼🏽🏾🏿")
_NEVER = frozenset(("?", QUOTE, ">"))
_RULE = re.compile(r"[\s\-_—–=*~]+")
_NOT_IN_NAMES = named(
    "start negation asking irequest yourequest cancel stop want contact message more limit"
)

Reasons = tuple[str, ...]


def phrase_in(text: str, tokens: Sequence[str], keywords: Keywords) -> Reasons | None:
    """Why a text is an opt-out by phrase, as codes; None where it is not certainly one."""
    if found := _whole(tokens, keywords):
        return found
    if "\n" not in text:
        return None
    lines = [line for line in text.split("\n") if line.strip()]
    if 1 < len(lines) <= _MAX_LINES and _is_signature(lines[1:]):
        found = _whole(tokens_of(lines[0]), keywords)
        return (*found, "signature") if found else None
    return None


def _whole(tokens: Sequence[str], keywords: Keywords) -> Reasons | None:
    bare = [each for each in tokens if each != BREAK and each not in _SIGNS_OF_STOP]
    if not bare or len(bare) > MAX_TOKENS or not _NEVER.isdisjoint(bare):
        return None
    for language in _languages(bare, keywords):
        if found := _in_language(bare, language, keywords):
            return found
    return None


def _languages(tokens: list[str], keywords: Keywords) -> list[str]:
    """The languages that know every token besides keywords, in order."""
    languages: Set[str] = companies().keys()
    for token in tokens:
        if token not in keywords.tokens and not token.isdecimal():
            languages = languages & speaking(token)
            if not languages:
                return []
    return sorted(languages)


def _in_language(tokens: list[str], language: str, keywords: Keywords) -> Reasons | None:
    """Read all tokens from left to right, by every way; a state is whether a request was found."""
    company, universal = companies()[language], companies()[UNIVERSAL]
    reached: list[dict[bool, Reasons]] = [{} for _ in range(len(tokens) + 1)]
    reached[0][False] = ()
    for at, states in enumerate(reached[:-1]):
        for asked, reasons in states.items():
            for end, then, why in _steps(tokens, at, asked, language, company, universal, keywords):
                reached[end].setdefault(then, (*reasons, *why))
    return tuple(dict.fromkeys(reached[-1].get(True, ()))) or None


_Step = tuple[int, bool, Reasons]


def _steps(
    tokens: list[str],
    at: int,
    asked: bool,
    language: str,
    company: Company,
    universal: Company,
    keywords: Keywords,
) -> Iterator[_Step]:
    for part in (company.polite, universal.polite):
        yield from ((end, asked, ("courtesy",)) for end in part_ends(part, tokens, at))
    if asked:
        yield from ((end, True, ("echo",)) for end in part_ends(company.after, tokens, at))
        if tokens[at] in company.numbers and _is_short_code(tokens[at + 1 : at + 2]):
            yield at + 2, True, ("echo",)
    else:
        yield from ((end, False, ("echo",)) for end in part_ends(company.lead, tokens, at))
    yield from ((end, True, ("request",)) for end in ends_of(company.requests, tokens, at))
    for end, keyword, why in _keywords_at(tokens, at, keywords):
        if keyword.languages and language not in keyword.languages:
            continue
        if keyword.alone and (at, end) != (0, len(tokens)):
            continue
        yield end, True, why
        yield from (
            (stop, True, (*why, "object")) for stop in ends_of(company.objects, tokens, end)
        )


def _keywords_at(
    tokens: list[str], at: int, keywords: Keywords
) -> Iterator[tuple[int, Keyword, Reasons]]:
    for keyword in keywords.by_first.get(tokens[at], ()):
        end = at + len(keyword.tokens)
        if tuple(tokens[at:end]) == keyword.tokens:
            yield end, keyword, ("keyword",)
    if slip := keywords.by_slip.get(tokens[at]):
        yield at + 1, slip, ("keyword", "slip")


def _is_short_code(tokens: Sequence[str]) -> bool:
    return any(token.isdecimal() and 3 < len(token) < 7 for token in tokens)


def _is_signature(lines: list[str]) -> bool:
    """Whether lines below a request only say who writes, or with which phone."""
    footers = companies()[UNIVERSAL].footers | _all_footers()
    for at, line in enumerate(lines):
        tokens = tokens_of(line)
        if any(tokens[: len(footer)] == footer for footer in footers):
            return True
        if _RULE.fullmatch(line) and "?" not in "".join(lines[at:]):
            return True
        if not _is_name(line, tokens):
            return False
    return True


def _is_name(line: str, tokens: tuple[str, ...]) -> bool:
    words = line.split()
    if not 0 < len(words) <= 6 or "?" in tokens:
        return False
    concepts = {concept for concept, _ in tagged(tokens, UNIVERSAL)}
    capitals = sum(not word[0].islower() for word in words)
    return capitals * 2 >= len(words) and "x" in concepts and _NOT_IN_NAMES.isdisjoint(concepts)


def _all_footers() -> frozenset[tuple[str, ...]]:
    return frozenset(footer for each in companies().values() for footer in each.footers)
