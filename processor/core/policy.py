"""A service's opt-out configuration in three layers, and matching by it (R6, R7, R16)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from processor.core.lookup import Countries, KeywordGroup, Languages, Lookup, Shape, Tier
from processor.core.messages import OptOutType, SenderType
from processor.core.normalise import exact
from processor.core.suspected import BY_COUNTRY, Finding, OwnWords


class MatchMode(StrEnum):
    """How far a body may differ from its keyword (R13)."""

    EXACT = "exact"
    TOLERANT = "tolerant"


class LateReply(StrEnum):
    """The fate of a reply that is not sent within five minutes (R36)."""

    SEND = "send"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class KeywordSet:
    """The keywords and the one reply for an opt-out type in one language."""

    keywords: tuple[str, ...]
    reply: str


KeywordSets = Mapping[OptOutType, KeywordSet]

# Keywords that cannot be removed from the standard layer (R7).
RESERVED: Mapping[OptOutType, tuple[str, ...]] = {
    OptOutType.STOP: ("stop",),
    OptOutType.START: ("start", "unstop"),
    OptOutType.HELP: ("help",),
}
# The words and replies of default handling (R3), and of everything a configuration omits (R7).
STANDARD: KeywordSets = {
    OptOutType.STOP: KeywordSet(
        ("stop", "unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel"),
        "You have successfully been unsubscribed. You will not receive any more messages from this"
        " number. Reply START to resubscribe.",
    ),
    OptOutType.START: KeywordSet(
        ("start", "yes", "unstop"),
        "You have successfully been re-subscribed to messages from this number. Reply HELP for"
        " help. Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
    ),
    OptOutType.HELP: KeywordSet(
        ("help", "info"), "Reply STOP to unsubscribe. Msg&Data Rates May Apply."
    ),
}


@dataclass(frozen=True, slots=True)
class CountryOverride:
    """Keyword sets of one country, by language, read before the standard sets."""

    languages: Mapping[str, KeywordSets]
    country_fallback: bool = True  # False: after a miss, only the reserved words are tried
    exact_only: bool = False  # its keywords match exactly, in either mode


@dataclass(frozen=True, slots=True)
class OptOutConfig:
    """The opt-out configuration of a messaging service, in its three layers."""

    match: MatchMode = MatchMode.TOLERANT
    repeat_reply: bool = False  # confirm a STOP of a blocked recipient again (R18)
    stop_when_blocked: frozenset[SenderType] = frozenset({SenderType.SHORT_CODE})  # always confirm
    reply_limit: int = 4  # replies of a kind to one recipient by one sender in an hour (R37)
    late_reply: LateReply = LateReply.SEND  # (R36)
    yes_only_when_blocked: bool = False  # from others, YES is an ordinary message (R19)
    help_when_blocked: frozenset[SenderType] = frozenset()  # these senders answer HELP anyway (R19)
    own_words: OwnWords = BY_COUNTRY  # opt-outs in other words (R30)
    standard: KeywordSets = field(default_factory=dict)
    languages: Mapping[str, KeywordSets] = field(default_factory=dict)
    countries: Mapping[str, CountryOverride] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """The keyword that a body is, with everything its entry says."""

    kind: OptOutType
    keyword: str  # as configured
    key: str  # its exact form
    tier: Tier
    language: str | None
    country: str | None
    reply: str
    finding: Finding | None = None  # of a text that only means the keyword (R30)


_T = TypeVar("_T")


class Policy:
    """A configuration ready for matching; configurations with equal keywords share a look-up."""

    __slots__ = ("_lookup", "_matches", "config")

    def __init__(self, config: OptOutConfig) -> None:
        self.config = config
        self._lookup = _lookup_of(config)
        # Made at first use: a keyword in each way it is found, with its country.
        self._matches: dict[tuple[OptOutType, str, Tier, str | None, str | None], Match] = {}

    @property
    def groups(self) -> set[KeywordGroup]:
        """All its keywords, by language; many configurations may share a group."""
        return {group for part in self._lookup.parts for _, group in part.value}

    @property
    def asks_country(self) -> bool:
        """Whether the recipient's country can change what a body matches."""
        return bool(self.config.countries)

    def may_match(self, body: str) -> bool:
        """Cheap check: False means that ``match`` certainly finds nothing."""
        return self._lookup.prefilter.passes(body)

    def match(self, body: str, country: str | None) -> Match | None:
        """Find the keyword that the whole body is, in the recipient's country (R14, R16).

        Args:
            body: the text as received.
            country: ISO 3166-1 alpha-2, or None if unknown.
        """
        found = self._lookup.find(body, country, exact_only=self.config.match is MatchMode.EXACT)
        if found is None:
            return None
        entry, tier, where = found
        which = entry.kind, entry.keyword, tier, entry.language, where
        match = self._matches.get(which)
        if match is None:
            reply = self._sets_of(where, entry.language)[entry.kind].reply
            match = Match(entry.kind, entry.keyword, entry.key, tier, entry.language, where, reply)
            self._matches[which] = match
        return match

    def stop_words(self, country: str | None) -> Mapping[str, frozenset[str]]:
        """The STOP keywords in force for recipients in a country, each with its languages.

        Those of the standard layer have no language. Equal answers are one object.
        """
        return self._lookup.stop_words(country)

    def match_by(self, finding: Finding, body: str, country: str | None) -> Match:
        """The STOP that a text means although it is not a keyword (R30).

        It is answered as the longest keyword in it, else as `stop`.
        """
        text = exact(body)
        said = [word for word in self.stop_words(country) if _has_word(text, exact(word))]
        word = max(said, key=len, default=RESERVED[OptOutType.STOP][0])
        match = self.match(word, country)
        assert match is not None, "a STOP word in force is a match"
        return replace(match, tier=Tier.TOLERANT, finding=finding)

    def _sets_of(self, country: str | None, language: str | None) -> KeywordSets:
        if language is None:
            return {**STANDARD, **self.config.standard}
        if country is None:
            return self.config.languages[language]
        return self.config.countries[country].languages[language]


def _has_word(text: str, word: str) -> bool:
    """Whether a text has a word by itself; scripts without spaces have no borders of words."""
    at = text.find(word) if word else -1
    if at < 0:
        return False
    around = text[at - 1 : at] + text[at + len(word) : at + len(word) + 1]
    return not (word.isascii() and any(one.isascii() and one.isalnum() for one in around))


def words_of(group: KeywordGroup) -> Iterator[str]:
    """The keywords of a group."""
    return (word for _, words in group.value for word in words)


def stop_words_of(group: KeywordGroup) -> Iterator[str]:
    """The STOP keywords of a group."""
    return (word for kind, words in group.value if kind is OptOutType.STOP for word in words)


def standard_sets(config: OptOutConfig) -> KeywordSets:
    """The complete standard layer: missing kinds come from R3, reserved words are added (R7)."""
    given = {**STANDARD, **config.standard}
    return {
        kind: KeywordSet(_with_reserved(kind, one.keywords), one.reply)
        for kind, one in given.items()
    }


@lru_cache(maxsize=4_096)
def _with_reserved(kind: OptOutType, keywords: tuple[str, ...]) -> tuple[str, ...]:
    have = {exact(keyword) for keyword in keywords}
    return tuple(word for word in RESERVED[kind] if word not in have) + keywords


# Compiled values live as long as a configuration that uses them.
_shapes: WeakValueDictionary[Any, Shape[Any]] = WeakValueDictionary()
_lookups: WeakValueDictionary[object, Lookup] = WeakValueDictionary()
# By the id of the value that has the shape; we hold the value, so its id is not reused.
_known: dict[int, tuple[object, Shape[Any]]] = {}
# Each may be all languages of a service. A dict that is emptied when full: the core imports the
# standard library only, and ``lru_cache`` would hash what is given, not its id.
_KNOWN_LIMIT = 2_048


def _shape_of(given: object, make: Callable[[], _T]) -> Shape[_T]:
    """The shape of a configuration's part; parts are immutable, and services may share them."""
    known = _known.get(id(given))
    if known is None:
        if len(_known) >= _KNOWN_LIMIT:
            _known.clear()
        known = _known[id(given)] = given, _same(make())
    return known[1]


def _same(value: _T) -> Shape[_T]:
    shape = _shapes.get(value)
    if shape is None:
        shape = _shapes[value] = Shape(value)
    return shape


def _keywords(sets: KeywordSets) -> tuple[tuple[OptOutType, tuple[str, ...]], ...]:
    return tuple((kind, given.keywords) for kind, given in sets.items())


def _kinds_of(sets: KeywordSets) -> KeywordGroup:
    return _shape_of(sets, lambda: _keywords(sets))


def _languages_of(languages: Mapping[str, KeywordSets]) -> Languages:
    return _shape_of(
        languages, lambda: tuple((tag, _kinds_of(sets)) for tag, sets in languages.items())
    )


def _countries_of(countries: Mapping[str, CountryOverride]) -> Countries:
    return _shape_of(
        countries,
        lambda: tuple(
            (
                country,
                override.country_fallback,
                override.exact_only,
                _languages_of(override.languages),
            )
            for country, override in countries.items()
        ),
    )


def _standard_of(config: OptOutConfig) -> Languages:
    return _shape_of(config.standard, lambda: ((None, _same(_keywords(standard_sets(config)))),))


def _lookup_of(config: OptOutConfig) -> Lookup:
    key = (_standard_of(config), _languages_of(config.languages), _countries_of(config.countries))
    found = _lookups.get(key)
    if found is None:
        found = _lookups[key] = Lookup(*key, _RESERVED)
    return found


_FEWEST_DISGUISED = 3  # letters of a keyword
_UNMISTAKABLE = frozenset(
    exact(word) for kind in (OptOutType.STOP, OptOutType.HELP) for word in STANDARD[kind].keywords
)
_RESERVED: Languages = Shape(((None, Shape(tuple(RESERVED.items()))),))
DEFAULT_POLICY = Policy(OptOutConfig())


def _buttons(language: str, **words: tuple[str, ...]) -> CountryOverride:
    sets = {
        OptOutType(kind): KeywordSet(words[kind], STANDARD[OptOutType(kind)].reply)
        for kind in words
    }
    return CountryOverride({language: sets}, exact_only=True)


RCS_POLICY = Policy(
    OptOutConfig(
        countries={
            "BR": _buttons("pt", STOP=("parar",), START=("começar", "comecar")),
            "ES": _buttons("es", STOP=("baja",), START=("alta",)),
            "FR": _buttons("fr", START=("démarrer", "demarrer")),
            "MX": _buttons("es", STOP=("baja",), START=("alta",)),
        }
    )
)
"""Default handling of RCS senders: the words of the chat menu's own buttons count, too (R3)."""
