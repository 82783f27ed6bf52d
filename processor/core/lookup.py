"""Find the keyword that a body is, among layers of keywords (R13, R16)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from processor.core.characters import letters_in
from processor.core.everyday import is_everyday
from processor.core.messages import OptOutType
from processor.core.normalise import clean, exact, tolerant_forms
from processor.core.prefilter import Prefilter
from processor.core.readings import Readings, disguises, readings

_MOST_KNOWN, _LONGEST_KNOWN = 500, 40  # bodies that are found again without a search; characters
_FEWEST_DISGUISED = 3  # letters of a keyword
# R3's words of STOP and HELP.
_UNMISTAKABLE = frozenset(
    ("stop", "unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel", "help", "info")
)


class Tier(StrEnum):
    """How sure a match is, the surest first (R13)."""

    EXACT = "exact"
    CLEAN = "clean"  # START with signs around it
    TOLERANT = "tolerant"  # STOP and HELP as people write them


_T = TypeVar("_T")


class Shape(Generic[_T]):
    """Keywords without replies. Equal values share one object, so comparing them costs nothing."""

    __slots__ = ("__weakref__", "value")

    def __init__(self, value: _T) -> None:
        self.value = value


KeywordGroup = Shape[tuple[tuple[OptOutType, tuple[str, ...]], ...]]  # keywords of each kind
Languages = Shape[tuple[tuple[str | None, KeywordGroup], ...]]
Countries = Shape[tuple[tuple[str, bool, bool, Languages], ...]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A keyword as its layer has it."""

    kind: OptOutType
    keyword: str
    key: str
    language: str | None


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Layer:
    """Keywords that are looked up together, by their forms."""

    exact: dict[str, Entry]
    clean: dict[str, Entry]  # of START
    stop: dict[str, Entry]  # tolerant forms
    help: dict[str, Entry]  # tolerant forms
    prefilter: Prefilter
    stop_words: dict[str, frozenset[str]]  # as configured, each with its languages

    @property
    def only_exact(self) -> Layer:
        """The layer without its wider forms."""
        return Layer(self.exact, {}, {}, {}, self.prefilter, self.stop_words)


Layers = tuple[tuple[str | None, Layer], ...]  # in look-up order, each with its country


_cached: WeakValueDictionary[Languages, Layer] = WeakValueDictionary()


class Lookup:
    """The keywords of a configuration without its replies.

    Most configurations differ only in their replies, so they can share a look-up. Its layers are
    compiled at first use.
    """

    def __init__(
        self, standard: Languages, languages: Languages, countries: Countries, reserved: Languages
    ) -> None:
        # Standard and languages are separate layers, as many services share the second.
        self._shared = (standard, languages) if languages.value else (standard,)
        self._countries = countries
        self._reserved: Layers = ((None, _layer(reserved)),)
        self._stop_words: dict[str | None, Mapping[str, frozenset[str]]] = {}
        self._found: dict[tuple[str, str | None, bool], Found | None] = {}  # emptied when full

    @property
    def parts(self) -> set[Languages]:
        """The shapes that its layers are compiled from."""
        return {*self._shared, *(own for *_, own in self._countries.value)}

    @cached_property
    def _layer_of(self) -> Mapping[Languages, Layer]:
        return {part: _layer(part) for part in self.parts}

    @cached_property
    def _base(self) -> Layers:
        return tuple((None, self._layer_of[part]) for part in self._shared)

    @cached_property
    def _of_country(self) -> Mapping[str, Layers]:
        found: dict[str, Layers] = {}
        for country, fallback, exact_only, own in self._countries.value:
            layer = self._layer_of[own]
            first = (country, layer.only_exact if exact_only else layer)
            found[country] = (first, *(self._base if fallback else self._reserved))
        return found

    @cached_property
    def prefilter(self) -> Prefilter:
        """Passes every body that ``find`` could find."""
        return Prefilter(*(layer.prefilter for layer in self._layer_of.values()))

    def find(self, body: str, country: str | None, *, exact_only: bool) -> Found | None:
        """The entry that a body is, by its surest form (R16)."""
        asked = body, country, exact_only
        if asked in self._found:
            return self._found[asked]
        found = self._find(body, country, exact_only=exact_only)
        if len(body) <= _LONGEST_KNOWN:  # people write the same word in few ways
            if len(self._found) >= _MOST_KNOWN:
                self._found.clear()
            self._found[asked] = found
        return found

    def _find(self, body: str, country: str | None, *, exact_only: bool) -> Found | None:
        layers = self._of_country.get(country or "", self._base)
        key = exact(body)
        for where, layer in layers:
            if entry := layer.exact.get(key):
                return entry, Tier.EXACT, where
        if exact_only or not self.prefilter.passes(body):
            return None
        return _find_wide(layers, readings(body)) or _find_disguised(layers, body)

    def stop_words(self, country: str | None) -> Mapping[str, frozenset[str]]:
        """The STOP keywords in force in a country, each with its languages; always the same object.

        Those of the standard layer have no language.
        """
        own = country if country in self._of_country else None
        if own not in self._stop_words:
            self._stop_words[own] = self._stop_words_in(own)
        return self._stop_words[own]

    def _stop_words_in(self, country: str | None) -> Mapping[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for _, layer in self._of_country.get(country or "", self._base):
            for word, languages in layer.stop_words.items():
                match = self.find(word, country, exact_only=True)
                if match and match[0].kind is OptOutType.STOP:  # nearer layers may say otherwise
                    found[word] = found.get(word, frozenset()) | languages
        return found


Found = tuple[Entry, Tier, str | None]  # with the country of the entry's layer


def _find_wide(layers: Layers, forms: Readings) -> Found | None:
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


def _find_disguised(layers: Layers, body: str) -> Found | None:
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


def _layer(languages: Languages) -> Layer:
    found = _cached.get(languages)
    if found is None:
        found = _cached[languages] = _compiled(languages)
    return found


def _compiled(languages: Languages) -> Layer:
    layer = Layer({}, {}, {}, {}, Prefilter(), {})
    for language, kinds in languages.value:
        for kind, keywords in kinds.value:
            layer.prefilter.add(keywords)
            for keyword in keywords:
                entry = Entry(kind, keyword, exact(keyword), language)
                if not entry.key:
                    continue  # an empty body is a picture without a text
                if kind is OptOutType.STOP:
                    own = frozenset([language] if language else ())
                    layer.stop_words[keyword] = layer.stop_words.get(keyword, frozenset()) | own
                layer.exact.setdefault(entry.key, entry)
                for wide, form in _wide_forms(layer, kind, keyword):
                    wide.setdefault(form, entry)
    return layer


def _wide_forms(
    layer: Layer, kind: OptOutType, keyword: str
) -> Iterator[tuple[dict[str, Entry], str]]:
    """A keyword's wider forms, each with the part of its layer that it belongs to."""
    if kind is OptOutType.START:
        if not is_everyday(keyword) and (form := clean(keyword)):
            yield layer.clean, form
    else:
        wide = layer.stop if kind is OptOutType.STOP else layer.help
        yield from ((wide, form) for form in tolerant_forms(keyword))
