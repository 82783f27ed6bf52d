"""The differences between two configurations, place by place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from processor.core.normalise import exact
from processor.core.policy import KeywordSet, KeywordSets, OptOutConfig, standard_sets

_Place = tuple[str, ...]
_OPTIONS = (
    *("match", "repeat_reply", "yes_only_when_blocked", "help_when_blocked", "stop_when_blocked"),
    *("reply_limit", "late_reply"),
)


class Difference(NamedTuple):
    """A difference between two configurations in one place."""

    place: _Place  # keys from the configuration's top
    text: str  # without the place

    def __str__(self) -> str:
        """A line for people."""
        return f"{'.'.join(self.place)}: {self.text}"


def differences(before: OptOutConfig, after: OptOutConfig) -> list[Difference]:
    """The differences between two configurations, place by place."""
    return [
        *_settings(before, after),
        *_kinds(("standard",), standard_sets(before), standard_sets(after)),
        *_languages(("languages",), before.languages, after.languages),
        *_countries(before, after),
    ]


def _settings(before: OptOutConfig, after: OptOutConfig) -> Iterator[Difference]:
    for name in _OPTIONS:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield Difference((name,), f"{_written(old)} -> {_written(new)}")
    for name in ("phrases", "suspected", "overdue"):
        old, new = getattr(before.own_words, name), getattr(after.own_words, name)
        if old != new:
            said = [one or "by country" for one in (old, new)]
            yield Difference((name,), " -> ".join(said))


def _countries(before: OptOutConfig, after: OptOutConfig) -> Iterator[Difference]:
    for country in sorted(before.countries.keys() | after.countries.keys()):
        place = ("countries", country)
        old, new = before.countries.get(country), after.countries.get(country)
        if old and new and old.country_fallback != new.country_fallback:
            text = f"{_written(old.country_fallback)} -> {_written(new.country_fallback)}"
            yield Difference((*place, "country_fallback"), text)
        yield from _languages(
            (*place, "languages"), old.languages if old else {}, new.languages if new else {}
        )


def _languages(
    place: _Place, before: Mapping[str, KeywordSets], after: Mapping[str, KeywordSets]
) -> Iterator[Difference]:
    for tag in sorted(before.keys() | after.keys()):
        yield from _kinds((*place, tag), before.get(tag, {}), after.get(tag, {}))


def _kinds(place: _Place, before: KeywordSets, after: KeywordSets) -> Iterator[Difference]:
    for kind in sorted(before.keys() | after.keys()):
        old, new = before.get(kind), after.get(kind)
        had, has = _keywords(old), _keywords(new)
        words = [f"- {had[key]}" for key in had if key not in has]
        words += [f"+ {has[key]}" for key in has if key not in had]
        if words:
            yield Difference((*place, kind.value, "keywords"), ", ".join(words))
        reply = (*place, kind.value, "reply")
        if old and new and old.reply != new.reply:
            yield Difference(reply, f"{old.reply!r} -> {new.reply!r}")
        elif new and not old:
            yield Difference(reply, f"+ {new.reply!r}")
        elif old and not new:
            yield Difference(reply, f"- {old.reply!r}")


def _keywords(keyword_set: KeywordSet | None) -> dict[str, str]:
    return {exact(keyword): keyword for keyword in keyword_set.keywords} if keyword_set else {}


def _written(value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    return str(value).lower()
