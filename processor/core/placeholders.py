"""Placeholders of replies: a service's own fields, filled in before the replies are used (R17)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from processor.core.policy import CountryOverride, KeywordSet, KeywordSets, OptOutConfig

PLACEHOLDERS = ("brand", "help_contact")  # fields of a service by their names

Values = Mapping[str, str]
"""The text of each placeholder that is set, by its name."""

NO_VALUES: Values = MappingProxyType({})

# `{{brand}}` belongs to another language of templates: nothing is filled in there.
_PLACEHOLDER = re.compile(r"(?<!\{)\{(" + "|".join(PLACEHOLDERS) + r")\}(?!\})")


def unset_in(reply: str, values: Values) -> list[str]:
    """The names of the placeholders in a reply that have no text, each once."""
    return [name for name in dict.fromkeys(_PLACEHOLDER.findall(reply)) if name not in values]


def filled(reply: str, values: Values) -> str:
    """A reply as recipients read it; a placeholder without a text stays."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), reply)


def with_values(config: OptOutConfig, values: Values) -> OptOutConfig:
    """A configuration with every reply filled in.

    A part without a placeholder stays the same object: many services share such parts.
    """
    if not values:
        return config

    def of_set(one: KeywordSet) -> KeywordSet:
        if "{" not in one.reply:  # most replies, and a service may have hundreds
            return one
        reply = filled(one.reply, values)
        return one if reply == one.reply else replace(one, reply=reply)

    def of_kinds(kinds: KeywordSets) -> KeywordSets:
        return _mapped(kinds, of_set)

    def of_country(one: CountryOverride) -> CountryOverride:
        languages = _mapped(one.languages, of_kinds)
        return one if languages is one.languages else replace(one, languages=languages)

    return replace(
        config,
        standard=of_kinds(config.standard),
        languages=_mapped(config.languages, of_kinds),
        countries=_mapped(config.countries, of_country),
    )


_K = TypeVar("_K")
_V = TypeVar("_V")


def _mapped(given: Mapping[_K, _V], change: Callable[[_V], _V]) -> Mapping[_K, _V]:
    """A mapping with each value changed; the same object where none changes."""
    after = {key: change(value) for key, value in given.items()}
    return after if any(after[key] is not value for key, value in given.items()) else given
