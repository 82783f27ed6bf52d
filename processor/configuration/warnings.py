"""Warnings to read before a configuration comes into force; none refuses it (R11)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

from processor.core.messages import OptOutType, SenderType
from processor.core.normalise import exact, tolerant, tolerant_forms
from processor.core.policy import (
    RESERVED,
    KeywordSet,
    KeywordSets,
    MatchMode,
    OptOutConfig,
    standard_sets,
)
from processor.core.services import PoolSender
from processor.core.toll_free import NETWORK_COUNTRIES
from processor.errors import Problem

_COME_BACK = frozenset({"start", "unstop"})  # the only words that undo a toll-free network's block
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_PHONE = re.compile(r"(?<![\w+])\+?\d[\d\s().-]{6,}\d(?!\w)")
_PLACEHOLDER = re.compile(r"\{\{?\s*\w+\s*\}?\}|<\w+>|\[\w+\]|%\w+%|\$\{?\w+\}?")


_Place = tuple[str, ...]
_STANDARD: _Place = ("standard",)

OTHERWISE_REGISTERED = "differs_from_registration"
"""The code of what a short code's registration says otherwise."""


def warnings_of(config: OptOutConfig, pool: tuple[PoolSender, ...]) -> list[Problem]:
    """Everything to look at.

    Args:
        config: without problems.
        pool: the service's senders.
    """
    return [
        *_reserved(config),
        *_replies(config, pool),
        *_short_codes(config, pool),
        *_toll_free(config, pool),
        *_overrides(config),
        *_accents(config),
        *_guessed(config),
    ]


def _layers(config: OptOutConfig) -> Iterator[tuple[_Place, KeywordSets, KeywordSets]]:
    """Each place, its keyword sets, and where else its people could find the way back."""
    base = standard_sets(config)
    yield _STANDARD, {**base, **config.standard}, base
    for tag, kinds in config.languages.items():
        yield ("languages", tag), kinds, base
    for country, override in config.countries.items():
        for tag, kinds in override.languages.items():
            yield ("countries", country, "languages", tag), kinds, base


def _given(config: OptOutConfig) -> Iterator[tuple[_Place, OptOutType, KeywordSet]]:
    for place, kinds, _ in _layers(config):
        for kind, keyword_set in kinds.items():
            if place != _STANDARD or kind in config.standard:
                yield (*place, kind.value), kind, keyword_set


def _reserved(config: OptOutConfig) -> Iterator[Problem]:
    for kind, keyword_set in config.standard.items():
        if missing := set(RESERVED[kind]) - _keys(keyword_set):
            text = f"add {_listed(missing)}; matched here even if left out"
            yield Problem((*_STANDARD, kind.value, "keywords"), "reserved_left_out", text)


def _replies(config: OptOutConfig, pool: tuple[PoolSender, ...]) -> Iterator[Problem]:
    ours = {_digits(sender.address) for sender in pool}
    for place, _, keyword_set in _given(config):
        for code, text in _in_reply(keyword_set.reply, ours):
            yield Problem((*place, "reply"), code, text)
    for place, kinds, base in _layers(config):
        stop = kinds.get(OptOutType.STOP)
        if stop and not _words_of(stop.reply) & _start_keys(kinds, base):
            text = "does not say how to come back; name an opt-in keyword, such as START"
            yield Problem((*place, "STOP", "reply"), "no_way_back", text)


def _in_reply(reply: str, ours: set[str]) -> Iterator[tuple[str, str]]:
    numbers = _PHONE.findall(reply)
    if _EMAIL.search(reply):
        yield (
            "email_address",
            "has an e-mail address; take it out: replies should hold no personal data",
        )
    if any(_looks_like_a_card(_digits(number)) for number in numbers):
        yield (
            "card_number",
            "has digits like a card's; take them out: replies should hold no personal data",
        )
    elif any(_digits(number) not in ours for number in numbers):
        yield "phone_number", "has a phone number that is not a sender of this service; check it"
    if _PLACEHOLDER.search(reply):
        yield "placeholder", "has a placeholder, and nothing fills it in; write the text itself"


def _short_codes(config: OptOutConfig, pool: tuple[PoolSender, ...]) -> Iterator[Problem]:
    configured = standard_sets(config)
    for sender in pool:
        registered_for = f"registered for short code {sender.address}; make both the same"
        for kind, registered in (sender.registered or {}).items():
            ours, place = configured[kind], (*_STANDARD, kind.value)
            if (mine := _keys(ours)) != (theirs := _keys(registered)):
                text = f"{_listed(mine)} here, {_listed(theirs)} {registered_for}"
                yield Problem((*place, "keywords"), OTHERWISE_REGISTERED, text)
            if ours.reply != registered.reply:
                text = f"{ours.reply!r} here, {registered.reply!r} {registered_for}"
                yield Problem((*place, "reply"), OTHERWISE_REGISTERED, text)


def _toll_free(config: OptOutConfig, pool: tuple[PoolSender, ...]) -> Iterator[Problem]:
    if not any(sender.type is SenderType.TOLL_FREE for sender in pool):
        return
    if OptOutType.STOP in config.standard:
        text = (
            "not sent if someone texts STOP to a toll-free number from the US or Canada; the"
            " network sends its own reply there. Nothing to change"
        )
        yield Problem((*_STANDARD, "STOP", "reply"), "network_answers", text)
    for place, kinds, base in _layers(config):
        stop = (config.standard if place == _STANDARD else kinds).get(OptOutType.STOP)
        elsewhere = place[0] == "countries" and place[1] not in NETWORK_COUNTRIES
        if stop is None or elsewhere:
            continue
        others = (_words_of(stop.reply) & _start_keys(kinds, base)) - _COME_BACK
        if named := {word for word in others if word.upper() in stop.reply}:
            text = (
                f"asks people to come back with {_listed(named)}, but only START and UNSTOP lift"
                " a toll-free network's block; name START"
            )
            yield Problem((*place, "STOP", "reply"), "network_needs_start", text)


def _overrides(config: OptOutConfig) -> Iterator[Problem]:
    for country, override in config.countries.items():
        kinds = {kind for sets in override.languages.values() for kind in sets}
        keys = {
            key
            for sets in override.languages.values()
            if OptOutType.STOP in sets
            for key in _keys(sets[OptOutType.STOP])
        }
        missing = [] if "stop" in keys else ["no `stop` of its own"]
        missing += [
            f"no {kind}" for kind in (OptOutType.START, OptOutType.HELP) if kind not in kinds
        ]
        if missing:
            text = f"{', '.join(missing)}; until added, the standard replies answer"
            yield Problem(("countries", country), "override_incomplete", text)


def _accents(config: OptOutConfig) -> Iterator[Problem]:
    for place, kind, keyword_set in _given(config):
        if kind is not OptOutType.START and config.match is MatchMode.TOLERANT:
            continue  # matched with accents folded anyway
        keys = _keys(keyword_set)
        for keyword in keyword_set.keywords:
            if (twin := _unaccented(exact(keyword))) not in keys:
                text = f"add {twin!r}: many phones send it in place of {keyword!r}"
                yield Problem((*place, "keywords"), "unaccented_missing", text)


def _guessed(config: OptOutConfig) -> Iterator[Problem]:
    """Keywords of START that but for an accent or a sign are others': only START is exact (R13)."""
    base: dict[_Place, KeywordSets] = {_STANDARD: standard_sets(config)}
    base |= {("languages", tag): kinds for tag, kinds in config.languages.items()}
    yield from _hard_to_tell(base, base)
    for country, override in config.countries.items():
        own: dict[_Place, KeywordSets] = {
            ("countries", country, "languages", tag): kinds
            for tag, kinds in override.languages.items()
        }
        yield from _hard_to_tell(own, own | base if override.country_fallback else own)


def _hard_to_tell(
    places: Mapping[_Place, KeywordSets], heard: Mapping[_Place, KeywordSets]
) -> Iterator[Problem]:
    owners = {
        form: (".".join((*place, kind)), keyword)
        for place, kinds in heard.items()
        for kind, keyword_set in kinds.items()
        if kind is not OptOutType.START
        for keyword in keyword_set.keywords
        for form in tolerant_forms(keyword)
    }
    for place, kinds in places.items():
        for keyword in kinds[OptOutType.START].keywords if OptOutType.START in kinds else ():
            owner, other = owners.get(tolerant(keyword), ("", keyword))
            if exact(other) != exact(keyword):
                text = f"{keyword!r} is hard to tell from {other!r} of {owner}; choose another"
                yield Problem((*place, "START", "keywords"), "hard_to_tell", text)


def _start_keys(kinds: KeywordSets, base: KeywordSets) -> set[str]:
    return {
        key
        for sets in (kinds, base)
        if OptOutType.START in sets
        for key in _keys(sets[OptOutType.START])
    }


def _keys(keyword_set: KeywordSet) -> set[str]:
    return {exact(keyword) for keyword in keyword_set.keywords}


def _words_of(reply: str) -> set[str]:
    letters = (letter if _is_of_a_word(letter) else " " for letter in reply)
    return {exact(word) for word in "".join(letters).split()}


def _is_of_a_word(character: str) -> bool:
    # Marks are the vowels of Hindi, Bengali and Tamil.
    return character.isalnum() or unicodedata.category(character).startswith("M")


def _digits(text: str) -> str:
    return "".join(filter(str.isdecimal, text))


def _unaccented(key: str) -> str:
    bare = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFD", key))
    return unicodedata.normalize("NFC", bare)


def _listed(words: set[str]) -> str:
    return ", ".join(sorted(words))


def _looks_like_a_card(digits: str) -> bool:
    """Whether digits are as many as a card has, and its check digit is right (Luhn)."""
    if not 13 <= len(digits) <= 19:
        return False
    doubled = [int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0
