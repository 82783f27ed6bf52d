"""The keywords of a service that has the standard words and the pack of a language."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from processor.configuration.languages import languages
from processor.core.messages import OptOutType
from processor.core.policy import STANDARD, OptOutConfig, Policy
from processor.suspicion.values import StopWords

_PACKS = {"tl": "fil"}  # languages whose pack has another tag


def words_of(language: str) -> StopWords:
    """The STOP keywords in force; the standard words alone where a language has no pack."""
    return _words().get(language, _words()[""])


def every_word() -> frozenset[str]:
    """The STOP keywords of all packs, and the standard words."""
    return frozenset(word for words in _words().values() for word in words)


@cache
def policy_of(language: str) -> Policy:
    """The policy that matches keywords before a text is assessed."""
    tag = _PACKS.get(language, language)
    packs = {tag: languages()[tag].pack} if tag in languages() else {}
    return Policy(OptOutConfig(languages=packs))


@cache
def _words() -> Mapping[str, StopWords]:
    standard = {word: frozenset[str]() for word in STANDARD[OptOutType.STOP].keywords}
    found = {tag: _pack_words(tag) | standard for tag in languages()}
    found |= {tag: found[pack] for tag, pack in _PACKS.items()}
    return {**found, "": standard}


def _pack_words(tag: str) -> dict[str, frozenset[str]]:
    return {word: frozenset((tag,)) for word in languages()[tag].pack[OptOutType.STOP].keywords}
