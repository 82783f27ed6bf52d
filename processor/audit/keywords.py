"""Which keyword a body is: the checker's own reading of R3, R6, R7, R13, R16 and R17.

There are two readings. By the narrow one a body surely is a keyword, so a missing notification is a
loss. By the wide one it may be a keyword, so a notification that fits neither contradicts the
configuration. For texts in ASCII they differ only in which words are everyday words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import orjson

from processor.audit.prefilter import Words
from processor.audit.spelling import (
    asked,
    consent,
    disguised,
    exact,
    forms_of,
    letters_agree,
    perhaps_consent,
    readings,
)
from processor.audit.standard import BUTTONS, RESERVED, STANDARD, Fields

_LONGER_THAN_YES = 8  # letters: no yes, no or OK of any language has as many
_EVERYDAY = frozenset(("yes", "yeah", "no", "ok", "okay", "ja", "oui", "sí", "si", "sim", "да"))
_PLACEHOLDER = re.compile(r"(?<!\{)\{(brand|help_contact)\}(?!\})")


class Found(NamedTuple):
    """A keyword, with what its entry says."""

    kind: str
    keyword: str  # as configured
    language: str | None
    country: str | None  # of its layer
    tier: str


class _Entry(NamedTuple):
    kind: str
    keyword: str
    language: str | None
    reply: str


class _Layer(NamedTuple):
    country: str | None
    exact: Mapping[str, _Entry]
    clean: Mapping[str, _Entry]  # of START
    stop: Mapping[str, _Entry]  # by their tolerant forms
    help: Mapping[str, _Entry]


class Keywords:
    """The keywords of a configuration, by layer.

    Args:
        active: as a service's record has it; None: default handling (R3).
    """

    def __init__(self, active: Fields | None) -> None:
        config = active or {}
        self.is_tolerant = config.get("match", "tolerant") == "tolerant"
        self.repeats = config.get("repeat_reply", "once") == "always"
        self.yes_only_when_blocked = bool(config.get("yes_only_when_blocked", False))
        self.help_when_blocked = frozenset(config.get("help_when_blocked", ()))
        self.stop_when_blocked = frozenset(config.get("stop_when_blocked", ("short_code",)))
        self.reply_limit = int(config.get("reply_limit", 4))
        self.late_reply = str(config.get("late_reply", "send"))
        self.phrases: str | None = config.get("phrases")  # policies; None: by country (R30)
        self.suspected: str | None = config.get("suspected")
        self.overdue: str | None = config.get("overdue")
        self.has_buttons = config is BUTTONS
        self._base = _base(config)
        self._of_country = {
            country: (
                _layer(country, own["languages"].items(), only_exact=self.has_buttons),
                *self._after(own),
            )
            for country, own in (config.get("countries") or {}).items()
        }
        self._words = Words()
        self._words.add(config)

    def _after(self, override: Fields) -> tuple[_Layer, ...]:
        """Find the layers behind a country's."""
        return self._base if override.get("country_fallback", True) else (_ONLY_RESERVED,)

    @property
    def asks_country(self) -> bool:
        """Whether the recipient's country can decide."""
        return bool(self._of_country)

    def may_be(self, body: str) -> bool:
        """Whether a body is worth a closer look; False: it certainly is not a keyword."""
        return self._words.may_be(body)

    def acts_on_blocked_only(self, found: Found) -> bool:
        """Whether a word is an ordinary message from a recipient who is not blocked (R3, R19)."""
        is_yes = self.yes_only_when_blocked and exact(found.keyword) == "yes"
        is_button = self.has_buttons and found.country is not None
        return found.kind == "START" and (is_yes or is_button)

    def surely(self, body: str, country: str | None) -> Found | None:
        """Find the keyword that a body is by the narrow reading."""
        layers, key = self._of_country.get(country or "", self._base), exact(body)
        for layer in layers:
            if entry := layer.exact.get(key):
                return Found(*entry[:3], layer.country, "exact")
        if not self.is_tolerant:
            return None
        found = _found_wide(layers, readings(body), asked(body), consent(body))
        if found is None and (form := disguised(body)):
            found = _found_wide(layers, (form,), (), "")
        return found

    def fits(self, body: str, country: str | None, said: Found) -> bool:
        """Whether a notification may say this of a body."""
        sure = self.surely(body, country)
        if sure == said:
            return True
        if said.tier == "exact" or (sure is not None and sure.tier == "exact"):
            return False
        layers = self._of_country.get(country or "", self._base)
        entries = [
            entry
            for layer in layers
            if self.is_tolerant
            for entry in (*layer.clean.values(), *layer.stop.values(), *layer.help.values())
            if (entry.kind, entry.keyword, entry.language, layer.country) == said[:4]
        ]
        if said.kind == "START":
            word = perhaps_consent(body)
            is_first = sure is None or sure.kind == "HELP"
            return (
                said.tier == "clean"
                and is_first
                and any(perhaps_consent(entry.keyword) == word for entry in entries)
            )
        may_ask = said.kind == "HELP"
        return (
            said.tier == "tolerant"
            and not body.isascii()
            and any(letters_agree(body, one.keyword, may_ask=may_ask) for one in entries)
        )

    def may_mean(self, body: str, country: str | None, said: Found) -> bool:
        """Whether other words than a keyword may have been taken for this keyword (R30)."""
        if self.surely(body, country) is not None or said.kind != "STOP":
            return False
        layers = self._of_country.get(country or "", self._base)
        return said.tier == "tolerant" and any(
            (entry.kind, entry.keyword, entry.language, layer.country) == said[:4]
            for layer in layers
            for entry in layer.exact.values()
        )

    def replies(self, said: Found, values: Fields) -> frozenset[str]:
        """Find the replies that an entry may have.

        Args:
            said: the entry.
            values: of the placeholders that the service fills in (R17).
        """
        layers = self._of_country.get(said.country or "", self._base)
        return frozenset(
            _PLACEHOLDER.sub(lambda one: str(values.get(one[1], one[0])), entry.reply)
            for layer in layers
            for entry in layer.exact.values()
            if (entry.kind, entry.language, layer.country)
            == (said.kind, said.language, said.country)
        )


def _found_wide(
    layers: Sequence[_Layer], forms: Sequence[str], help_forms: Sequence[str], word: str
) -> Found | None:
    """Find a keyword by the forms of a body; STOP wins (R16)."""
    for layer in layers:
        for form in forms:
            if entry := layer.stop.get(form):
                return Found(*entry[:3], layer.country, "tolerant")
    for layer in layers:
        if (entry := layer.clean.get(word)) and _is_no_answer(entry.keyword):
            return Found(*entry[:3], layer.country, "clean")
        for form in (*forms, *help_forms):
            if entry := layer.help.get(form):
                return Found(*entry[:3], layer.country, "tolerant")
    return None


def _is_no_answer(keyword: str) -> bool:
    """Whether a keyword surely is not a word that answers everyday questions."""
    key = exact(keyword)
    return key in RESERVED["START"] or len(key) >= _LONGER_THAN_YES


def _base(config: Fields) -> tuple[_Layer, ...]:
    given = config.get("standard") or {}
    standard: dict[str, Fields] = {}
    for kind, (words, reply) in STANDARD.items():
        own = given.get(kind) or {"keywords": words, "reply": reply}
        have = {exact(word) for word in own["keywords"]}
        reserved = [word for word in RESERVED[kind] if word not in have]
        standard[kind] = {"keywords": [*reserved, *own["keywords"]], "reply": own["reply"]}
    layers = [_layer(None, [(None, standard)])]
    if languages := config.get("languages"):
        layers.append(_layer(None, languages.items()))
    return tuple(layers)


def _layer(
    country: str | None,
    languages: Iterable[tuple[str | None, Fields]],
    *,
    only_exact: bool = False,
) -> _Layer:
    by_exact: dict[str, _Entry] = {}
    by_form: dict[str, dict[str, _Entry]] = {kind: {} for kind in STANDARD}
    for language, sets in languages:
        for kind, one in sets.items():
            for word in one["keywords"]:
                entry = _Entry(kind, word, language, one["reply"])
                if key := exact(word):
                    by_exact.setdefault(key, entry)
                    for form in () if only_exact else _wide_forms(kind, word):
                        by_form[kind].setdefault(form, entry)
    return _Layer(country, by_exact, by_form["START"], by_form["STOP"], by_form["HELP"])


def _wide_forms(kind: str, word: str) -> tuple[str, ...]:
    if kind != "START":
        return forms_of(word)
    is_everyday = len(exact(word)) < 2 or exact(word) in _EVERYDAY
    return () if is_everyday else (consent(word),)


_ONLY_RESERVED = _layer(
    None, [(None, {kind: {"keywords": words, "reply": ""} for kind, words in RESERVED.items()})]
)
DEFAULT = Keywords(None)
DEFAULT_RCS = Keywords(BUTTONS)


@lru_cache(256)
def keywords_of(active: bytes) -> Keywords:
    """Compile a configuration, given as JSON; services with equal configurations share it."""
    return Keywords(orjson.loads(active))
