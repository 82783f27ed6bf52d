"""What changes between two configurations, place by place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from processor.core.normalise import exact
from processor.core.policy import KeywordSet, KeywordSets, OptOutConfig, standard_sets


def differences(before: OptOutConfig, after: OptOutConfig) -> list[str]:
    """What one configuration does otherwise than another, as ``place: what``."""
    return [
        *_settings(before, after),
        *_kinds("standard", standard_sets(before), standard_sets(after)),
        *_languages("languages", before.languages, after.languages),
        *_countries(before, after),
    ]


def _settings(before: OptOutConfig, after: OptOutConfig) -> Iterator[str]:
    for name in ("match", "repeat_reply", "yes_only_when_blocked", "help_when_blocked"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield f"{name}: {_said(old)} -> {_said(new)}"


def _countries(before: OptOutConfig, after: OptOutConfig) -> Iterator[str]:
    for country in sorted(before.countries.keys() | after.countries.keys()):
        place = f"countries.{country}"
        old, new = before.countries.get(country), after.countries.get(country)
        if old and new and old.country_fallback != new.country_fallback:
            yield (
                f"{place}.country_fallback: {_said(old.country_fallback)} -> "
                f"{_said(new.country_fallback)}"
            )
        yield from _languages(
            f"{place}.languages", old.languages if old else {}, new.languages if new else {}
        )


def _languages(
    place: str, before: Mapping[str, KeywordSets], after: Mapping[str, KeywordSets]
) -> Iterator[str]:
    for tag in sorted(before.keys() | after.keys()):
        yield from _kinds(f"{place}.{tag}", before.get(tag, {}), after.get(tag, {}))


def _kinds(place: str, before: KeywordSets, after: KeywordSets) -> Iterator[str]:
    for kind in sorted(before.keys() | after.keys()):
        old, new = before.get(kind), after.get(kind)
        had, has = _keywords(old), _keywords(new)
        words = [f"- {had[key]}" for key in had if key not in has]
        words += [f"+ {has[key]}" for key in has if key not in had]
        if words:
            yield f"{place}.{kind}.keywords: {', '.join(words)}"
        if old and new and old.reply != new.reply:
            yield f"{place}.{kind}.reply: {old.reply!r} -> {new.reply!r}"
        elif new and not old:
            yield f"{place}.{kind}.reply: + {new.reply!r}"
        elif old and not new:
            yield f"{place}.{kind}.reply: - {old.reply!r}"


def _keywords(keyword_set: KeywordSet | None) -> dict[str, str]:
    return {exact(keyword): keyword for keyword in keyword_set.keywords} if keyword_set else {}


def _said(value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    return str(value).lower()
