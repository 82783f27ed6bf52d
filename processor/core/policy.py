"""Find the keyword that a body is: three layers of configuration in one look-up (R6, R16)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from processor.core.characters import letters_in
from processor.core.everyday import is_everyday
from processor.core.messages import OptOutType, SenderType
from processor.core.normalise import clean, exact, tolerant_forms
from processor.core.prefilter import Prefilter
from processor.core.readings import Readings, disguises, readings


class MatchMode(StrEnum):
    """How far a body may differ from a service's keywords (R13)."""

    EXACT = "exact"
    TOLERANT = "tolerant"


class Tier(StrEnum):
    """How sure a match is, the surest first (R13)."""

    EXACT = "exact"
    CLEAN = "clean"  # START with signs around it
    TOLERANT = "tolerant"  # STOP and HELP as people write them


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


_T = TypeVar("_T")


class _Shape(Generic[_T]):
    """Keywords without replies. Equal values share one object, so comparing them costs nothing."""

    __slots__ = ("__weakref__", "value")

    def __init__(self, value: _T) -> None:
        self.value = value


KeywordGroup = _Shape[tuple[tuple[OptOutType, tuple[str, ...]], ...]]  # keywords of each kind
_Languages = _Shape[tuple[tuple[str | None, KeywordGroup], ...]]
_Countries = _Shape[tuple[tuple[str, bool, bool, _Languages], ...]]


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: OptOutType
    keyword: str
    key: str
    language: str | None


@dataclass(frozen=True, slots=True, weakref_slot=True)
class _Layer:
    """Keywords that are looked up together, by their forms."""

    exact: dict[str, _Entry]
    clean: dict[str, _Entry]  # of START
    stop: dict[str, _Entry]  # tolerant forms
    help: dict[str, _Entry]  # tolerant forms
    prefilter: Prefilter

    @property
    def only_exact(self) -> _Layer:
        """The layer without its wider forms."""
        return _Layer(self.exact, {}, {}, {}, self.prefilter)


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
        return {*self._shared, *(own for *_, own in self._countries.value)}

    @cached_property
    def _layer_of(self) -> Mapping[_Languages, _Layer]:
        return {part: _layer(part) for part in self.parts}

    @cached_property
    def _base(self) -> _Layers:
        return tuple((None, self._layer_of[part]) for part in self._shared)

    @cached_property
    def _of_country(self) -> Mapping[str, _Layers]:
        found: dict[str, _Layers] = {}
        for country, fallback, exact_only, own in self._countries.value:
            layer = self._layer_of[own]
            first = (country, layer.only_exact if exact_only else layer)
            found[country] = (first, *(self._base if fallback else _RESERVED_ONLY))
        return found

    @cached_property
    def prefilter(self) -> Prefilter:
        """Passes every body that ``find`` could find."""
        return Prefilter(*(layer.prefilter for layer in self._layer_of.values()))

    def find(self, body: str, country: str | None, mode: MatchMode) -> _Found | None:
        """The entry that a body is, by its surest form (R16)."""
        layers = self._of_country.get(country or "", self._base)
        key = exact(body)
        for where, layer in layers:
            if entry := layer.exact.get(key):
                return entry, Tier.EXACT, where
        if mode is MatchMode.EXACT:
            return None
        return _find_wide(layers, readings(body)) or _find_disguised(layers, body)


_Found = tuple[_Entry, Tier, str | None]  # with the country of the entry's layer


def _find_wide(layers: _Layers, forms: Readings) -> _Found | None:
    """The entry by a wider form; STOP wins where these disagree (R16)."""
    for where, layer in layers:
        for form in forms.stop:
            if entry := layer.stop.get(form):
                return entry, Tier.TOLERANT, where
    for where, layer in layers:
        if entry := layer.clean.get(forms.start):
            return entry, Tier.CLEAN, where
        for form in (*forms.stop, *forms.help):
            if entry := layer.help.get(form):
                return entry, Tier.TOLERANT, where
    return None


def _find_disguised(layers: _Layers, body: str) -> _Found | None:
    """The entry in letters of other scripts that look Latin: of three letters or more (R13).

    A body wholly in another script may be a word of that script. It is read as one of R3's words
    only, since no common word looks like these.
    """
    for disguise in () if body.isascii() else disguises(body):
        found = _find_wide(layers, disguise.readings)
        if found and _is_believed(found[0].key, whole=disguise.whole):
            return found
    return None


def _is_believed(key: str, *, whole: bool) -> bool:
    return letters_in(key) >= _FEWEST_DISGUISED and (not whole or key in _UNMISTAKABLE)


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
            (
                country,
                override.country_fallback,
                override.exact_only,
                _languages_of(override.languages),
            )
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
    layer = _Layer({}, {}, {}, {}, Prefilter())
    for language, kinds in languages.value:
        for kind, keywords in kinds.value:
            layer.prefilter.add(keywords)
            for keyword in keywords:
                entry = _Entry(kind, keyword, exact(keyword), language)
                if not entry.key:
                    continue  # an empty body is a picture without a text
                layer.exact.setdefault(entry.key, entry)
                for wide, form in _wide_forms(layer, kind, keyword):
                    wide.setdefault(form, entry)
    return layer


def _wide_forms(
    layer: _Layer, kind: OptOutType, keyword: str
) -> Iterator[tuple[dict[str, _Entry], str]]:
    """A keyword's wider forms, each with the part of its layer that it belongs to."""
    if kind is OptOutType.START:
        if not is_everyday(keyword) and (form := clean(keyword)):
            yield layer.clean, form
    else:
        wide = layer.stop if kind is OptOutType.STOP else layer.help
        yield from ((wide, form) for form in tolerant_forms(keyword))


_RESERVED_ONLY: _Layers = ((None, _layer(_Shape(((None, _Shape(tuple(RESERVED.items()))),)))),)
_FEWEST_DISGUISED = 3  # letters of a keyword
_UNMISTAKABLE = frozenset(
    exact(word) for kind in (OptOutType.STOP, OptOutType.HELP) for word in STANDARD[kind].keywords
)
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
