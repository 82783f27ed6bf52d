"""Starter packs of several languages in one configuration that the rules accept (R9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from typing_extensions import TypedDict

from processor.configuration.languages import KeywordSetDocument, documents_of, language_of
from processor.configuration.rules import forms_of
from processor.core.messages import OptOutType
from processor.core.policy import RESERVED, KeywordSet, KeywordSets
from processor.wire.countries import COUNTRIES

_Form = tuple[str, str]
_Packs = Mapping[str, KeywordSets]  # by language tag
_Documents = dict[str, dict[str, KeywordSetDocument]]  # by language tag, then by kind
_STOP = OptOutType.STOP


class OverrideDocument(TypedDict):
    """A country override as `services.yaml` writes it."""

    languages: _Documents


class StarterDocument(TypedDict):
    """The parts of `opt_out` that starter packs make."""

    languages: _Documents
    countries: dict[str, OverrideDocument]


def starter_of(tags: Sequence[str]) -> StarterDocument:
    """The packs of languages as parts of `opt_out`; `problems_of` finds nothing in them.

    A word that two languages claim moves into overrides of the countries that speak them. Such a
    country has the packs of all its languages among ``tags``, its main language first.

    Args:
        tags: each once, as ``tag_of`` gave them.
    """
    packs = {tag: language_of(tag).pack for tag in tags}
    contested = _contested(packs)
    everywhere = {tag: _uncontested(pack, contested) for tag, pack in packs.items()}
    moved = [tag for tag, pack in packs.items() if everywhere[tag] != pack]
    countries = dict.fromkeys(country for tag in moved for country in countries_of(tag))
    return {
        "languages": {tag: documents_of(pack) for tag, pack in everywhere.items() if pack},
        "countries": {
            country: {
                "languages": {
                    tag: documents_of(pack) for tag, pack in _override(country, packs).items()
                }
            }
            for country in countries
        },
    }


def countries_of(tag: str) -> tuple[str, ...]:
    """Where a language is spoken, its main country first; `es-MX` is Mexico's alone."""
    region = tag.rpartition("-")[2]
    return (region,) if region in COUNTRIES else language_of(tag).countries


def _contested(packs: _Packs) -> frozenset[_Form]:
    """The forms that two languages claim."""
    owners: dict[_Form, str] = {}
    return frozenset(
        form
        for tag, pack in packs.items()
        for form in _forms(pack)
        if owners.setdefault(form, tag) != tag
    )


def _forms(pack: KeywordSets) -> Iterable[_Form]:
    return (
        form
        for kind, given in pack.items()
        for word in given.keywords
        for form in forms_of(kind, word)
    )


def _uncontested(pack: KeywordSets, contested: frozenset[_Form]) -> KeywordSets:
    """A pack without the words that another language claims, and without kinds left empty."""
    kept = {kind: _without(kind, given, contested) for kind, given in pack.items()}
    gone = {
        word.upper(): RESERVED[kind][0].upper()
        for kind, given in pack.items()
        for word in given.keywords
        if word not in kept[kind].keywords and word.upper() != word
    }
    return {
        kind: replace(given, reply=_naming(given.reply, gone))
        for kind, given in kept.items()
        if given.keywords
    }


def _without(kind: OptOutType, given: KeywordSet, forms: frozenset[_Form]) -> KeywordSet:
    words = tuple(word for word in given.keywords if forms.isdisjoint(forms_of(kind, word)))
    return replace(given, keywords=words)


def _naming(reply: str, gone: Mapping[str, str]) -> str:
    """A reply that names the reserved word where it named a word that is gone."""
    for word, reserved in gone.items():
        reply = reply.replace(word, reserved)
    return reply


def _override(country: str, packs: _Packs) -> dict[str, KeywordSets]:
    """The packs of a country's languages; the main one owns `stop` and all words they share."""
    spoken = [tag for tag in packs if country in countries_of(tag)]
    spoken.sort(key=lambda tag: countries_of(tag).index(country))
    override: dict[str, KeywordSets] = {}
    taken: frozenset[_Form] = frozenset()
    for tag in spoken:
        pack = _uncontested(packs[tag], taken)
        if not override:
            stop = pack[_STOP]
            pack = {**pack, _STOP: replace(stop, keywords=(*RESERVED[_STOP], *stop.keywords))}
        if pack:
            override[tag] = pack
        taken |= frozenset(_forms(pack))
    return override
