"""Which keyword a body is: the checker's own reading of R3, R6, R7, R13 and R16.

Rules of matching have edges, such as which signs count as emoji. So there are two readings. By the
narrow one a body surely is a keyword, so a missing notification is a loss. By the wide one a body
may be a keyword, so a notification that fits neither contradicts the configuration.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import orjson

KINDS = ("STOP", "START", "HELP")
_RESERVED = {"STOP": ("stop",), "START": ("start", "unstop"), "HELP": ("help",)}
_STANDARD: Mapping[str, tuple[Sequence[str], str]] = {
    "STOP": (
        ("stop", "unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel"),
        "You have successfully been unsubscribed. You will not receive any more messages from this"
        " number. Reply START to resubscribe.",
    ),
    "START": (
        ("start", "yes", "unstop"),
        "You have successfully been re-subscribed to messages from this number. Reply HELP for"
        " help. Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
    ),
    "HELP": (("help", "info"), "Reply STOP to unsubscribe. Msg&Data Rates May Apply."),
}
_TWO_WORDS = {"optout": ("opt", "out"), "stopall": ("stop", "all")}
_HYPHENS = (" ", "-", "\u2010")
_QUOTES = frozenset(
    "\"'`\u00ab\u00bb\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2039\u203a"
    "\u300c\u300d\u300e\u300f"
)
_ASKS = "?;"  # a question is not a keyword
_SIGNS = "".join(set(string.punctuation) - set(_ASKS)) + string.whitespace
_WITHOUT_SIGNS = str.maketrans("", "", string.punctuation + string.whitespace)
_PICTURES = (
    (0x2600, 0x26FF),
    (0x2702, 0x2757),
    (0x1F300, 0x1F64F),
    (0x1F680, 0x1F6FF),
    (0x1F900, 0x1F9FF),
)
_LIKE = {
    "\u0455": "s", "\u0442": "t", "\u03c4": "t", "\u043e": "o", "\u03bf": "o", "\u0440": "p",
    "\u03c1": "p", "\u043d": "h", "\u04bb": "h", "\u03b7": "h", "\u0435": "e", "\u03b5": "e",
    "\u04cf": "l", "\u03b9": "l",
}  # fmt: skip
_LONGEST = 200  # characters of a body that is looked at closely

Fields: TypeAlias = Mapping[str, Any]


class Found(NamedTuple):
    """A keyword, with what its entry says."""

    kind: str
    keyword: str  # as configured
    language: str | None
    country: str | None  # of its layer
    reply: str
    is_exact: bool


class _Entry(NamedTuple):
    kind: str
    keyword: str
    language: str | None
    reply: str


class _Layer(NamedTuple):
    country: str | None
    exact: Mapping[str, _Entry]
    narrow: Mapping[str, _Entry]  # STOP and HELP by their tolerant forms


def exact(text: str) -> str:
    """Fold case and compatible spellings, and trim."""
    before = None
    while text != before:
        before = text
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()
    return text


def _bare(text: str) -> str:
    """Drop invisible characters and the accents of Latin, Greek and Cyrillic letters."""
    before = None
    while text != before:
        before = text
        seen = [c for c in exact(text) if unicodedata.category(c) != "Cf" and c != "\ufe0f"]
        apart = unicodedata.normalize("NFD", "".join(seen))
        text = exact("".join(c for c in apart if not "\u0300" <= c <= "\u036f"))
    return text


def _is_decoration(character: str) -> bool:
    return (
        character in ".!,"
        or character.isspace()
        or any(low <= ord(character) <= high for low, high in _PICTURES)
    )


def _stripped(text: str) -> str:
    first, last = 0, len(text)
    while first < last and _is_decoration(text[first]):
        first += 1
    while first < last and _is_decoration(text[last - 1]):
        last -= 1
    return text[first:last]


def narrow(text: str) -> str:
    """Reduce a text to the form that decides STOP and HELP, by the rule's plain words."""
    word = _stripped(_bare(text))
    if len(word) > 1 and word[0] in _QUOTES and word[-1] in _QUOTES:
        inner = _stripped(word[1:-1])
        if not (len(inner) > 1 and inner[0] in _QUOTES and inner[-1] in _QUOTES):
            word = inner
    seen_as = "".join(_LIKE.get(c, c) for c in word)
    return seen_as if seen_as in ("stop", "help") else word


def wide(text: str) -> str:
    """Reduce a text to what is left of it without any sign, space or lookalike."""
    letters = "".join(_LIKE.get(c, c) for c in _bare(text))
    return re.sub(r"[\W_]+", "", letters) or exact(text)


class Words:
    """The forms of any number of configurations' keywords, default handling's among them."""

    def __init__(self) -> None:
        self._exact: set[str] = set()
        self._wide: set[str] = set()
        for words, _ in _STANDARD.values():
            self._add(tuple(words))

    def add(self, config: Fields) -> None:
        """Add every keyword of a configuration."""
        overrides = (config.get("countries") or {}).values()
        languages = [config.get("standard") or {}, *(config.get("languages") or {}).values()]
        for sets in (*languages, *(one for own in overrides for one in own["languages"].values())):
            for one in sets.values():
                self._add(tuple(one["keywords"]))

    def _add(self, words: tuple[str, ...]) -> None:
        exacts, wides = _forms(words)
        self._exact |= exacts
        self._wide |= wides

    def may_be(self, body: str) -> bool:
        """Whether a body may be a keyword of one of them; False is certain."""
        if body.isascii():
            low = body.strip().lower()
            if low in self._exact:
                return True
            core = low.strip(_SIGNS)
            return len(core) < _LONGEST and _joined(core) in self._wide
        return len(body.strip()) < _LONGEST and (
            exact(body) in self._exact or wide(body) in self._wide
        )


@lru_cache(16_384)
def _forms(words: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(map(exact, words)), frozenset(map(wide, words))


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
        self._base = _base(config)
        self._of_country = {
            country: (_layer(country, own["languages"].items()), *self._after(own))
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

    def surely(self, body: str, country: str | None) -> Found | None:
        """Find the keyword that a body is by the narrow reading."""
        layers, key = self._of_country.get(country or "", self._base), exact(body)
        for layer in layers:
            if entry := layer.exact.get(key):
                return Found(*entry[:3], layer.country, entry.reply, is_exact=True)
        if self.is_tolerant:
            key = narrow(body)
            for layer in layers:
                if entry := layer.narrow.get(key):
                    return Found(*entry[:3], layer.country, entry.reply, is_exact=False)
        return None

    def fits(self, body: str, country: str | None, said: Found) -> bool:
        """Whether a notification may say this of a body; ``said`` needs no reply."""
        sure = self.surely(body, country)
        if sure is not None:
            return sure._replace(reply="") == said._replace(reply="")
        layers = self._of_country.get(country or "", self._base)
        return (
            self.is_tolerant
            and not said.is_exact
            and any(
                (entry.kind, entry.keyword, entry.language, layer.country) == said[:4]
                and wide(entry.keyword) == wide(body)
                for layer in layers
                for entry in layer.exact.values()
            )
        )

    def replies(self, said: Found) -> frozenset[str]:
        """Find the replies that an entry may have."""
        layers = self._of_country.get(said.country or "", self._base)
        return frozenset(
            entry.reply
            for layer in layers
            for entry in layer.exact.values()
            if (entry.kind, entry.language, layer.country)
            == (said.kind, said.language, said.country)
        )


def _joined(core: str) -> str:
    return core if core.isalnum() else core.translate(_WITHOUT_SIGNS)


def _base(config: Fields) -> tuple[_Layer, ...]:
    given = config.get("standard") or {}
    standard: dict[str, Fields] = {}
    for kind, (words, reply) in _STANDARD.items():
        own = given.get(kind) or {"keywords": words, "reply": reply}
        have = {exact(word) for word in own["keywords"]}
        reserved = [word for word in _RESERVED[kind] if word not in have]
        standard[kind] = {"keywords": [*reserved, *own["keywords"]], "reply": own["reply"]}
    layers = [_layer(None, [(None, standard)])]
    if languages := config.get("languages"):
        layers.append(_layer(None, languages.items()))
    return tuple(layers)


def _layer(country: str | None, languages: Iterable[tuple[str | None, Fields]]) -> _Layer:
    by_exact: dict[str, _Entry] = {}
    by_narrow: dict[str, _Entry] = {}
    for language, sets in languages:
        for kind, one in sets.items():
            for word in one["keywords"]:
                entry = _Entry(kind, word, language, one["reply"])
                by_exact.setdefault(exact(word), entry)
                if kind != "START":
                    for form in _spellings(word):
                        by_narrow.setdefault(form, entry)
    return _Layer(country, by_exact, by_narrow)


def _spellings(word: str) -> Iterator[str]:
    form = narrow(word)
    if form:
        yield form
    if form in _TWO_WORDS:
        yield from (hyphen.join(_TWO_WORDS[form]) for hyphen in _HYPHENS)


_ONLY_RESERVED = _layer(
    None, [(None, {kind: {"keywords": words, "reply": ""} for kind, words in _RESERVED.items()})]
)
DEFAULT = Keywords(None)


@lru_cache(256)
def keywords_of(active: bytes) -> Keywords:
    """Compile a configuration, given as JSON; services with equal configurations share it."""
    return Keywords(orjson.loads(active))
