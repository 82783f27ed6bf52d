"""Find the keyword that a body is: three layers of configuration in one look-up (R6, R16)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from processor.core.messages import OptOutType, SenderType
from processor.core.normalise import exact, tolerant, tolerant_forms
from processor.core.prefilter import Prefilter


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
    standard: KeywordSets = field(default_factory=dict)
    languages: Mapping[str, KeywordSets] = field(default_factory=dict)
    countries: Mapping[str, CountryOverride] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """The keyword that a body is, with everything its entry says."""

    kind: OptOutType
    keyword: str  # as configured
    key: str  # its exact form
    tier: MatchMode
    language: str | None
    country: str | None
    reply: str


_T = TypeVar("_T")


class _Shape(Generic[_T]):
    """Keywords without replies. Equal values share one object, so comparing them costs nothing."""

    __slots__ = ("__weakref__", "value")

    def __init__(self, value: _T) -> None:
        self.value = value


KeywordGroup = _Shape[tuple[tuple[OptOutType, tuple[str, ...]], ...]]  # keywords of each kind
_Languages = _Shape[tuple[tuple[str | None, KeywordGroup], ...]]
_Countries = _Shape[tuple[tuple[str, bool, _Languages], ...]]


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: OptOutType
    keyword: str
    key: str
    language: str | None


@dataclass(frozen=True, slots=True, weakref_slot=True)
class _Layer:
    """Keywords that are looked up together, by their forms."""

    exact: Mapping[str, _Entry]
    tolerant: Mapping[str, _Entry]
    prefilter: Prefilter


_Layers = tuple[tuple[str | None, _Layer], ...]  # in look-up order, each with its country


class _Lookup:
    """The keywords of a configuration without its replies.

    Most configurations differ only in their replies, so they can share a look-up. Its layers are
    compiled at first use.
    """

    def __init__(self, standard: _Languages, languages: _Languages, countries: _Countries) -> None:
        # Standard and languages are separate layers, as many services share the second.
        self._shared = (standard, languages) if languages.value else (standard,)
        self._countries = countries

    @property
    def parts(self) -> set[_Languages]:
        """The shapes that its layers are compiled from."""
        return {*self._shared, *(own for _, _, own in self._countries.value)}

    @cached_property
    def _layer_of(self) -> Mapping[_Languages, _Layer]:
        return {part: _layer(part) for part in self.parts}

    @cached_property
    def _base(self) -> _Layers:
        return tuple((None, self._layer_of[part]) for part in self._shared)

    @cached_property
    def _of_country(self) -> Mapping[str, _Layers]:
        return {
            country: ((country, self._layer_of[own]), *(self._base if fallback else _RESERVED_ONLY))
            for country, fallback, own in self._countries.value
        }

    @cached_property
    def prefilter(self) -> Prefilter:
        """Passes every body that ``find`` could find."""
        return Prefilter(*(layer.prefilter for layer in self._layer_of.values()))

    def find(
        self, body: str, country: str | None, mode: MatchMode
    ) -> tuple[_Entry, MatchMode, str | None] | None:
        """The entry that a body is, the mode that found it, and the country of its layer."""
        layers = self._of_country.get(country or "", self._base)
        key = exact(body)
        for where, layer in layers:
            if entry := layer.exact.get(key):
                return entry, MatchMode.EXACT, where
        if mode is MatchMode.EXACT:
            return None
        key = tolerant(body)
        for where, layer in layers:
            if entry := layer.tolerant.get(key):
                return entry, MatchMode.TOLERANT, where
        return None


class Policy:
    """A configuration ready for matching; configurations with equal keywords share a look-up."""

    __slots__ = ("_lookup", "config")

    def __init__(self, config: OptOutConfig) -> None:
        self.config = config
        self._lookup = _lookup_of(config)

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
        found = self._lookup.find(body, country, self.config.match)
        if found is None:
            return None
        entry, tier, where = found
        reply = self._sets_of(where, entry.language)[entry.kind].reply
        return Match(entry.kind, entry.keyword, entry.key, tier, entry.language, where, reply)

    def _sets_of(self, country: str | None, language: str | None) -> KeywordSets:
        if language is None:
            return {**STANDARD, **self.config.standard}
        if country is None:
            return self.config.languages[language]
        return self.config.countries[country].languages[language]


def words_of(group: KeywordGroup) -> Iterator[str]:
    """The keywords of a group."""
    return (word for _, words in group.value for word in words)


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
_shapes: WeakValueDictionary[Any, _Shape[Any]] = WeakValueDictionary()
_layers: WeakValueDictionary[_Languages, _Layer] = WeakValueDictionary()
_lookups: WeakValueDictionary[object, _Lookup] = WeakValueDictionary()
# By the id of the value that has the shape; we hold the value, so its id is not reused.
_known: dict[int, tuple[object, _Shape[Any]]] = {}
# Each may be all languages of a service. A dict that is emptied when full: the core imports the
# standard library only, and ``lru_cache`` would hash what is given, not its id.
_KNOWN_LIMIT = 2_048


def _shape_of(given: object, make: Callable[[], _T]) -> _Shape[_T]:
    """The shape of a configuration's part; parts are immutable, and services may share them."""
    known = _known.get(id(given))
    if known is None:
        if len(_known) >= _KNOWN_LIMIT:
            _known.clear()
        known = _known[id(given)] = given, _same(make())
    return known[1]


def _same(value: _T) -> _Shape[_T]:
    shape = _shapes.get(value)
    if shape is None:
        shape = _shapes[value] = _Shape(value)
    return shape


def _keywords(sets: KeywordSets) -> tuple[tuple[OptOutType, tuple[str, ...]], ...]:
    return tuple((kind, given.keywords) for kind, given in sets.items())


def _kinds_of(sets: KeywordSets) -> KeywordGroup:
    return _shape_of(sets, lambda: _keywords(sets))


def _languages_of(languages: Mapping[str, KeywordSets]) -> _Languages:
    return _shape_of(
        languages, lambda: tuple((tag, _kinds_of(sets)) for tag, sets in languages.items())
    )


def _countries_of(countries: Mapping[str, CountryOverride]) -> _Countries:
    return _shape_of(
        countries,
        lambda: tuple(
            (country, override.country_fallback, _languages_of(override.languages))
            for country, override in countries.items()
        ),
    )


def _standard_of(config: OptOutConfig) -> _Languages:
    return _shape_of(config.standard, lambda: ((None, _same(_keywords(standard_sets(config)))),))


def _lookup_of(config: OptOutConfig) -> _Lookup:
    key = (_standard_of(config), _languages_of(config.languages), _countries_of(config.countries))
    found = _lookups.get(key)
    if found is None:
        found = _lookups[key] = _Lookup(*key)
    return found


def _layer(languages: _Languages) -> _Layer:
    found = _layers.get(languages)
    if found is None:
        found = _layers[languages] = _compiled(languages)
    return found


def _compiled(languages: _Languages) -> _Layer:
    prefilter = Prefilter()
    exact_forms: dict[str, _Entry] = {}
    loose_forms: dict[str, _Entry] = {}
    for language, kinds in languages.value:
        for kind, keywords in kinds.value:
            prefilter.add(keywords)
            for keyword in keywords:
                entry = _Entry(kind, keyword, exact(keyword), language)
                exact_forms.setdefault(entry.key, entry)
                if kind is not OptOutType.START:  # consent is never guessed
                    for form in tolerant_forms(keyword):
                        loose_forms.setdefault(form, entry)
    return _Layer(exact_forms, loose_forms, prefilter)


_RESERVED_ONLY: _Layers = ((None, _layer(_Shape(((None, _Shape(tuple(RESERVED.items()))),)))),)
DEFAULT_POLICY = Policy(OptOutConfig())
