"""Warnings about keywords: words that the law names, and words that mean something else (R11)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache

from processor.configuration.languages import languages
from processor.configuration.reviewed import STANDARD, Found, Given, Place, Reviewed
from processor.core.everyday import is_everyday
from processor.core.messages import OptOutType
from processor.core.normalise import exact, tolerant, tolerant_forms
from processor.core.policy import RESERVED, KeywordSets, MatchMode, Policy, standard_sets

STOP, START, HELP = OptOutType
# Each with the spellings of which one must be heard.
_LAWFUL = {
    word: (word, word.replace(" ", ""))
    for word in ("stop", "quit", "end", "revoke", "opt out", "cancel", "unsubscribe")
}
_TONES = tuple(map(chr, range(0x1F3FB, 0x1F400)))
_SELECTOR = "\ufe0f"  # asks for the picture of a sign
# Hands and people, which take a skin tone: Unicode's Emoji_Modifier_Base, in its main blocks.
_TAKES_TONE = re.compile(
    "[\u261d\u26f9\u270a-\u270d\U0001f442\U0001f443\U0001f446-\U0001f450\U0001f466-\U0001f478"
    "\U0001f590\U0001f595\U0001f596\U0001f645-\U0001f647\U0001f64b-\U0001f64f\U0001f90c\U0001f90f"
    "\U0001f918-\U0001f91f\U0001f926\U0001f937]"
)


def word_warnings(service: Reviewed) -> Iterator[Found]:
    """Everything to look at in the keywords."""
    if not service.untouched:
        if "US" in service.countries:
            yield from _lawful(service)
        yield from _yes(service)
    for given in service.written:
        for code, text in (
            *_meanings(given),
            *_unaccented(given, service.config.match),
            *_emoji(given),
        ):
            yield (*given.place, "keywords"), code, text
    yield from _reserved(service)
    yield from _overrides(service)
    yield from _guessed(service)


def _lawful(service: Reviewed) -> Iterator[Found]:
    policy = Policy(service.config)

    def heard(body: str) -> bool:
        match = policy.match(body, "US")
        return match is not None and match.kind is STOP

    missing = [word for word, spellings in _LAWFUL.items() if not any(map(heard, spellings))]
    if missing:
        text = f"add {', '.join(missing)}: in the US each of them is an opt-out by law"
        yield (*STANDARD, "STOP", "keywords"), "lawful_words_missing", text


def _yes(service: Reviewed) -> Iterator[Found]:
    if service.config.yes_only_when_blocked:
        return
    for given in service.in_force:
        if given.kind is START and "yes" in _keys(given):
            text = (
                "'yes' answers other questions too; set yes_only_when_blocked, so that it opts in"
                " only those who opted out"
            )
            yield (*given.place, "keywords"), "yes_always", text


def _meanings(given: Given) -> Iterator[tuple[str, str]]:
    words = {word: exact(word) for word in given.keywords}
    if everyday := [word for word, key in words.items() if _answers(key)]:
        text = f"{_quoted(everyday)}: people answer questions with it; choose a longer word"
        yield "everyday_word", text
    if doubtful := [word for word, key in words.items() if key in _everyday_of_packs()]:
        text = (
            f"{_quoted(doubtful)}: also an answer to ordinary questions; take it out if you ask"
            " such questions"
        )
        yield "doubtful_word", text


def _answers(key: str) -> bool:
    """Whether a word is a no, an OK, a letter or a digit; `yes` has a warning of its own."""
    return key != "yes" and is_everyday(key) and (len(key) > 1 or key.isalnum())


@cache
def _everyday_of_packs() -> frozenset[str]:
    return frozenset(exact(word) for one in languages().values() for word in one.everyday)


def _unaccented(given: Given, mode: MatchMode) -> Iterator[tuple[str, str]]:
    if given.kind is not START and mode is MatchMode.TOLERANT:
        return  # matched with accents folded anyway
    keys = _keys(given)
    for keyword in given.keywords:
        if (twin := _bare(exact(keyword))) not in keys:
            yield "unaccented_missing", f"add {twin!r}: many phones send it in place of {keyword!r}"


def _emoji(given: Given) -> Iterator[tuple[str, str]]:
    keys = _keys(given)
    for keyword in given.keywords:
        others = [one for one in _spellings(keyword) if exact(one) not in keys]
        if others:
            text = f"{keyword!r} has other spellings that phones send; add {', '.join(others)}"
            yield "emoji_spelling", text


def _spellings(keyword: str) -> list[str]:
    """The spellings of an emoji: with and without its selector, and in each skin tone."""
    plain = keyword.replace(_SELECTOR, "").rstrip("".join(_TONES))
    if len(plain) != 1 or unicodedata.category(plain) != "So":
        return []
    tones = [plain + tone for tone in _TONES] if _TAKES_TONE.match(plain) else []
    selected = [plain + _SELECTOR] if plain < "\U0001f000" else []
    return [plain, *selected, *tones]


def _reserved(service: Reviewed) -> Iterator[Found]:
    for kind, keyword_set in service.config.standard.items():
        if missing := set(RESERVED[kind]) - {exact(word) for word in keyword_set.keywords}:
            text = f"add {', '.join(sorted(missing))}; matched here even if left out"
            yield (*STANDARD, kind.value, "keywords"), "reserved_left_out", text


def _overrides(service: Reviewed) -> Iterator[Found]:
    for country, override in service.config.countries.items():
        kinds = {kind for sets in override.languages.values() for kind in sets}
        stops = {
            exact(word)
            for sets in override.languages.values()
            if STOP in sets
            for word in sets[STOP].keywords
        }
        missing = [] if "stop" in stops else ["no `stop` of its own"]
        missing += [f"no {kind}" for kind in (START, HELP) if kind not in kinds]
        if missing:
            text = f"{', '.join(missing)}; until added, the standard replies answer"
            yield ("opt_out", "countries", country), "override_incomplete", text


def _guessed(service: Reviewed) -> Iterator[Found]:
    """Keywords of START that are another's but for an accent or a sign: START is not guessed."""
    config = service.config
    base: dict[Place, KeywordSets] = {STANDARD: standard_sets(config)}
    base |= {("opt_out", "languages", tag): kinds for tag, kinds in config.languages.items()}
    yield from _hard_to_tell(base, base)
    for country, override in config.countries.items():
        own: dict[Place, KeywordSets] = {
            ("opt_out", "countries", country, "languages", tag): kinds
            for tag, kinds in override.languages.items()
        }
        yield from _hard_to_tell(own, own | base if override.country_fallback else own)


def _hard_to_tell(
    places: Mapping[Place, KeywordSets], heard: Mapping[Place, KeywordSets]
) -> Iterator[Found]:
    owners = {
        form: (".".join((*place[1:], kind)), keyword)
        for place, kinds in heard.items()
        for kind, keyword_set in kinds.items()
        if kind is not START
        for keyword in keyword_set.keywords
        for form in tolerant_forms(keyword)
    }
    for place, kinds in places.items():
        for keyword in kinds[START].keywords if START in kinds else ():
            owner, other = owners.get(tolerant(keyword), ("", keyword))
            if exact(other) != exact(keyword):
                text = f"{keyword!r} is hard to tell from {other!r} of {owner}; choose another"
                yield (*place, "START", "keywords"), "hard_to_tell", text


def _keys(given: Given) -> set[str]:
    return {exact(keyword) for keyword in given.keywords}


def _bare(key: str) -> str:
    bare = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFD", key))
    return unicodedata.normalize("NFC", bare)


def _quoted(words: list[str]) -> str:
    return ", ".join(map(repr, words))
