"""Which keyword a body is under a configuration: three layers in one look-up (R6, R16)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property, lru_cache

from processor.core.messages import OptOutType, SenderType
from processor.core.normalise import ALIASES, core_of, ends_of, exact, tolerant


class MatchMode(StrEnum):
    """How far a body may differ from its keyword (R13)."""

    EXACT = "exact"
    TOLERANT = "tolerant"


@dataclass(frozen=True, slots=True)
class KeywordSet:
    """The keywords and the one reply for an opt-out type in one language."""

    keywords: tuple[str, ...]
    reply: str


KeywordSets = Mapping[OptOutType, KeywordSet]

# What cannot be removed from the standard layer (R7).
RESERVED: Mapping[OptOutType, tuple[str, ...]] = {
    OptOutType.STOP: ("stop",),
    OptOutType.START: ("start", "unstop"),
    OptOutType.HELP: ("help",),
}
# The words and replies of default handling (R3), and of whatever a configuration leaves out (R7).
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
    """Keyword sets of one country, by language, read before the standard ones."""

    languages: Mapping[str, KeywordSets]
    country_fallback: bool = True  # False: on a miss only the reserved words are still tried


@dataclass(frozen=True, slots=True)
class OptOutConfig:
    """The opt-out configuration of a messaging service, in its three layers."""

    match: MatchMode = MatchMode.TOLERANT
    repeat_reply: bool = False  # confirm a STOP again to a recipient already blocked (R18)
    yes_only_when_blocked: bool = False  # YES from anyone else is an ordinary message (R19)
    help_when_blocked: frozenset[SenderType] = frozenset()  # who answers HELP all the same (R19)
    standard: KeywordSets = field(default_factory=dict)
    languages: Mapping[str, KeywordSets] = field(default_factory=dict)
    countries: Mapping[str, CountryOverride] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """A body that is a keyword, and everything its entry says."""

    kind: OptOutType
    keyword: str  # as configured
    key: str  # its exact form
    tier: MatchMode
    language: str | None
    country: str | None
    reply: str


_Sets = tuple[tuple[OptOutType, KeywordSet], ...]


@dataclass(frozen=True, slots=True)
class _Layer:
    """Keyword sets that are looked up together; equal ones are compiled once and shared."""

    exact: Mapping[str, Match]
    tolerant: Mapping[str, Match]
    cores: frozenset[str]  # of its forms that are ASCII
    ends: frozenset[str]  # of all its forms


class Policy:
    """A configuration compiled for matching: each part when first used, then asked for ever."""

    def __init__(self, config: OptOutConfig) -> None:
        self.config = config
        self._of_country: dict[str | None, tuple[_Layer, ...]] = {}

    @cached_property
    def _base(self) -> tuple[_Layer, ...]:
        """Standard, then the language sets: two layers, as the second is often many services'."""
        languages = tuple((tag, _frozen(kinds)) for tag, kinds in self.config.languages.items())
        standard = _layer(None, ((None, _frozen(standard_sets(self.config))),))
        return (standard, _layer(None, languages)) if languages else (standard,)

    @cached_property
    def _reserved(self) -> _Layer:
        standard = standard_sets(self.config)
        reserved = tuple(
            (kind, KeywordSet(words, standard[kind].reply)) for kind, words in RESERVED.items()
        )
        return _layer(None, ((None, reserved),))

    def _layers(self, country: str | None) -> tuple[_Layer, ...]:
        layers = self._of_country.get(country)
        if layers is None:
            override = self.config.countries.get(country or "")
            if override is None:
                return self._base
            own = _override_layer(country, override)
            layers = (own, *(self._base if override.country_fallback else (self._reserved,)))
            self._of_country[country] = layers
        return layers

    @cached_property
    def _sieves(self) -> tuple[tuple[frozenset[str], ...], tuple[frozenset[str], ...]]:
        """Cores and ends of all layers; those of all countries as one."""
        own = [_override_layer(*item) for item in self.config.countries.items()]
        cores = [layer.cores for layer in self._base]
        ends = [layer.ends for layer in self._base]
        if own:
            cores.append(frozenset[str]().union(*(layer.cores for layer in own)))
            ends.append(frozenset[str]().union(*(layer.ends for layer in own)))
        return tuple(cores), tuple(ends)

    @property
    def asks_country(self) -> bool:
        """Whether the recipient's country can change what a body matches."""
        return bool(self.config.countries)

    def may_match(self, body: str) -> bool:
        """Whether ``match`` could find anything: False is certain, and cheap."""
        cores, ends = self._sieves
        sieve, sign = (cores, core_of(body)) if body.isascii() else (ends, ends_of(body))
        for signs in sieve:  # noqa: SIM110 - asked for every message, twice as fast as any()
            if sign in signs:
                return True
        return False

    def match(self, body: str, country: str | None) -> Match | None:
        """Find the keyword a whole body is, in the recipient's country (R14, R16).

        Args:
            body: the text as received.
            country: ISO 3166-1 alpha-2, or None where it is not known.
        """
        layers = self._layers(country)
        key = exact(body)
        for layer in layers:
            if found := layer.exact.get(key):
                return found
        if self.config.match is MatchMode.EXACT:
            return None
        key = tolerant(body)
        for layer in layers:
            if found := layer.tolerant.get(key):
                return found
        return None


def standard_sets(config: OptOutConfig) -> KeywordSets:
    """The standard layer whole: what is not given is R3's, reserved words are added (R7)."""
    whole = {}
    for kind, default in STANDARD.items():
        given = config.standard.get(kind, default)
        have = {exact(keyword) for keyword in given.keywords}
        missing = tuple(word for word in RESERVED[kind] if word not in have)
        whole[kind] = KeywordSet(missing + given.keywords, given.reply)
    return whole


def tolerant_forms(keyword: str) -> tuple[str, ...]:
    """Every tolerant form that means a keyword: its own, and its spellings in two words."""
    form = tolerant(keyword)
    # A keyword of decoration only, such as an emoji, has no tolerant form: no text would match it.
    return (form, *ALIASES.get(form, ())) if form else ()


def _frozen(kinds: KeywordSets) -> _Sets:
    return tuple(kinds.items())


def _override_layer(country: str | None, override: CountryOverride) -> _Layer:
    return _layer(country, tuple((tag, _frozen(sets)) for tag, sets in override.languages.items()))


@lru_cache(maxsize=65_536)
def _layer(country: str | None, sets: tuple[tuple[str | None, _Sets], ...]) -> _Layer:
    exact_forms: dict[str, Match] = {}
    loose_forms: dict[str, Match] = {}
    for language, kinds in sets:
        for kind, keyword_set in kinds:
            for keyword in keyword_set.keywords:
                key = exact(keyword)
                found = Match(
                    kind, keyword, key, MatchMode.EXACT, language, country, keyword_set.reply
                )
                exact_forms.setdefault(key, found)
                if kind is OptOutType.START:
                    continue  # a consent is never guessed
                loose = replace(found, tier=MatchMode.TOLERANT)
                for form in tolerant_forms(keyword):
                    loose_forms.setdefault(form, loose)
    forms = (*exact_forms, *loose_forms)
    cores = frozenset(core_of(form) for form in forms if form.isascii())
    return _Layer(exact_forms, loose_forms, cores, frozenset(map(ends_of, forms)))


DEFAULT_POLICY = Policy(OptOutConfig())
