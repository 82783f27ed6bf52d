"""The languages of starter packs, read from `data/`: the guide's 41 and 13 more (R6).

A file is named by its BCP 47 tag. A keyword without a line under `sources` rests on the file's
`status` alone: no speaker of the language has looked at an "unreviewed" keyword.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Literal

from typing_extensions import TypedDict

from processor.configuration.rules import problems_of
from processor.core.messages import OptOutType
from processor.core.policy import KeywordSet, KeywordSets, MatchMode, OptOutConfig
from processor.errors import ConfigError, Problem
from processor.json_types import Json
from processor.wire.countries import COUNTRIES
from schemas.messaging_service import MAX_KEYWORD_CHARACTERS, MAX_REPLY_CHARACTERS

MIN_REPLY_CHARACTERS = 20  # the minimum that carriers' registrations ask for

_TEXTS = {  # besides `language`: the pattern of each key, and its description
    "name": (".+", "the English name, the guide's where it has one"),
    "native_name": (".+", "the language's own name"),
    "direction": ("ltr|rtl", "ltr or rtl"),
    "status": ("unreviewed|reviewed .+", "unreviewed, or reviewed by NAME, DATE"),
}
_MACROS = {"no": "nb"}  # a tag of several languages: the language that the guide has
_FILE = "language_file"  # the code of a problem in a file that no rule of services covers
_KINDS = {kind.lower(): kind for kind in OptOutType}
# Language, script, region, variants; the rest of BCP 47 is not used to name a keyword set.
_TAG = re.compile(
    r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|[0-9]{3}))?"
    r"((?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*)",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Language:
    """A language, and what a service that speaks it may start from."""

    tag: str
    name: str  # in English; the guide's where it has one
    native_name: str
    direction: Literal["ltr", "rtl"]
    status: str  # "unreviewed", or "reviewed by NAME, DATE"
    countries: tuple[str, ...]  # where it is spoken, ISO 3166; its main country first
    pack: KeywordSets
    everyday: frozenset[str]  # keywords of the pack that answer ordinary questions, too (R11)
    sources: Mapping[str, str]  # pages that document the use of some keywords in messaging


class KeywordSetDocument(TypedDict):
    """A keyword set as `services.yaml` writes it."""

    keywords: list[str]
    reply: str


@cache
def languages() -> Mapping[str, Language]:
    """Every language by its tag, in the tags' order; the files are read once.

    Raises:
        ConfigError: with every problem, each naming its file and key.
    """
    return read(files("processor.configuration") / "data")


def tag_of(given: str) -> str | None:
    """The tag, in canonical case, of a tag or an English name.

    Any tag of a language that has a file will do: `es-MX` is itself, whatever its case. None where
    it is neither such a tag nor such a name.
    """
    for known in languages().values():
        if known.name.casefold() == given.casefold():
            return known.tag
    parts = _TAG.fullmatch(given)
    if parts is None:
        return None
    language = _MACROS.get(parts[1].lower(), parts[1].lower())
    if language not in languages():
        return None
    script, region = (parts[2] or "").title(), (parts[3] or "").upper()
    return "-".join(filter(None, (language, script, region))) + parts[4].lower()


def language_of(tag: str) -> Language:
    """The language of a tag that ``tag_of`` gave: `ms-MY` is one of its own, `es-MX` is Spanish."""
    return languages().get(tag) or languages()[tag.partition("-")[0]]


def starter(tag: str) -> dict[str, KeywordSetDocument]:
    """The pack of a tag that ``tag_of`` gave, as `languages.<tag>` of `services.yaml`."""
    return documents_of(language_of(tag).pack)


def documents_of(sets: KeywordSets) -> dict[str, KeywordSetDocument]:
    """Keyword sets by kind, as `services.yaml` writes them."""
    return {
        kind.value: {"keywords": list(given.keywords), "reply": given.reply}
        for kind, given in sets.items()
    }


def read(folder: Traversable) -> Mapping[str, Language]:
    """The languages of a folder, by tag.

    Raises:
        ConfigError: with every problem, each naming its file and key.
    """
    found: dict[str, Language] = {}
    problems: list[Problem] = []
    paths = {
        path.name.removesuffix(".toml"): path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.name.endswith(".toml")
    }
    for tag, path in sorted(paths.items()):
        try:
            given = tomllib.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:  # neither TOML nor even UTF-8
            problems.append(Problem((), _FILE, str(error), where=(path.name,)))
            continue
        wrong = list(_problems(given, tag))
        if not wrong:
            language = _language(given)
            wrong = [*_refusals(language), *_namesakes(language, found)]
            found[language.tag] = language
        problems += [problem.within(path.name) for problem in wrong]
    if not found and not problems:
        text = "no languages here; was the package built without its data?"
        problems = [Problem((), _FILE, text, where=(folder.name,))]
    if problems:
        raise ConfigError(problems)
    return MappingProxyType(found)


def _language(given: Mapping[str, Json]) -> Language:
    sets = {kind: given[key] for key, kind in _KINDS.items()}
    return Language(
        tag=given["language"],
        name=given["name"],
        native_name=given["native_name"],
        direction=given["direction"],
        status=given["status"],
        countries=tuple(given["countries"]),
        everyday=frozenset(given.get("everyday", ())),
        pack={
            kind: KeywordSet(tuple(each["keywords"]), each["reply"]) for kind, each in sets.items()
        },
        sources={
            word: source
            for each in sets.values()
            for word, source in each.get("sources", {}).items()
        },
    )


def _problems(given: Mapping[str, object], stem: str) -> Iterator[Problem]:
    for key in given.keys() - {"language", "countries", "everyday", *_TEXTS, *_KINDS}:
        yield Problem((key,), _FILE, "unknown")
    yield from _list_problems(given)
    for key, (pattern, words) in _TEXTS.items():
        text = given.get(key)
        if not isinstance(text, str) or not re.fullmatch(pattern, text):
            yield Problem((key,), _FILE, f"must be {words}")
    if given.get("language") != stem or not _TAG.fullmatch(stem):
        yield Problem(("language",), _FILE, f"must be a BCP 47 tag, and the file's name, {stem}")
    for key in _KINDS:
        for place, text in _set_problems(given.get(key)):
            yield Problem((key, *place), _FILE, text)


def _list_problems(given: Mapping[str, object]) -> Iterator[Problem]:
    countries = given.get("countries")
    if not isinstance(countries, list) or not countries or not COUNTRIES.issuperset(countries):
        yield Problem(("countries",), _FILE, "must be a list of ISO 3166 countries")
    sets = (given.get(key) for key in _KINDS)
    words = [word for each in sets if isinstance(each, dict) for word in each.get("keywords", ())]
    everyday = given.get("everyday", [])
    if not isinstance(everyday, list) or any(word not in words for word in everyday):
        yield Problem(("everyday",), _FILE, "must be a list of keywords of this file")


def _set_problems(given: object) -> Iterator[tuple[tuple[str, ...], str]]:
    """The problems in one keyword set, each with its place in it."""
    if not isinstance(given, dict):
        yield (), "missing, or not a table"
        return
    for key in given.keys() - {"keywords", "reply", "sources"}:
        yield (key,), "unknown"
    words = given.get("keywords")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        yield ("keywords",), "must be a list of texts"
        words = []
    for word in words:
        if word != word.strip() or len(word) > MAX_KEYWORD_CHARACTERS:
            text = f"{word!r} is not trimmed, or over {MAX_KEYWORD_CHARACTERS} characters"
            yield ("keywords",), text
    reply = given.get("reply")
    length = len(reply) if isinstance(reply, str) else 0
    if not MIN_REPLY_CHARACTERS <= length <= MAX_REPLY_CHARACTERS:
        yield ("reply",), f"must have {MIN_REPLY_CHARACTERS} to {MAX_REPLY_CHARACTERS} characters"
    sources = given.get("sources", {})
    if not isinstance(sources, dict):
        yield ("sources",), "no table"
        sources = {}
    for word, source in sources.items():
        if word not in words:
            yield ("sources",), f"{word!r} is not a keyword here"
        if not isinstance(source, str) or not source.strip():
            yield ("sources",), f"{word!r} must be a text"


def _refusals(language: Language) -> list[Problem]:
    """Problems that any service would be refused for (R9, R10), by the file's own keys."""
    alone = OptOutConfig(match=MatchMode.EXACT, languages={language.tag: language.pack})
    keys: dict[tuple[str, ...], tuple[str, ...]] = {
        ("languages", language.tag, kind.value): (key,) for key, kind in _KINDS.items()
    }
    return problems_of(alone, lambda place: keys.get(place, place))


def _namesakes(language: Language, others: Mapping[str, Language]) -> Iterator[Problem]:
    for other in others.values():
        if other.name.casefold() == language.name.casefold():
            text = f"{language.name!r} is {other.tag}.toml's"
            yield Problem(("name",), _FILE, text)
