"""The layers of a configuration as forms: from typed text to keyword sets, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from processor.configuration import layers
from processor.configuration.differences import Difference
from processor.configuration.languages import Language, language_of, starter, tag_of
from processor.core.messages import OptOutType
from processor.core.normalise import exact
from processor.core.placeholders import NO_VALUES, Values, filled
from processor.core.policy import RESERVED, STANDARD, KeywordSets
from processor.errors import Problem
from processor.wire.countries import COUNTRIES
from schemas.messaging_service import MAX_REPLY_CHARACTERS

_ALIKE = 3  # more warnings of the same words are one line
TITLES = {OptOutType.STOP: "Opt-out", OptOutType.START: "Opt-in", OptOutType.HELP: "Help"}


class Layer(layers.Layer):
    """A place that has keyword sets, as pages show it."""

    __slots__ = ()

    @property
    def title(self) -> str:
        """Its name on pages."""
        if self.language is None:
            return "Standard keywords"
        name = f"{language_of(self.language).name} ({self.language})"
        return f"{self.country}: {name}" if self.country else name

    @property
    def spoken(self) -> Language | None:
        """The language that its texts are in; None where that may be any."""
        return language_of(self.language) if self.language else None


def layer_at(place: str) -> Layer | None:
    """The layer of a name such as `countries.MX.languages.es`, None where it is none."""
    return layer_of_path(place.split("."))


def layer_of_path(path: Sequence[str]) -> Layer | None:
    """The layer of a place in a configuration, None where it is none."""
    match path:
        case ["standard"]:
            return Layer(None, None)
        case ["languages", language]:
            country = None
        case ["countries", country, "languages", language] if country in COUNTRIES:
            pass
        case _:
            return None
    tag = tag_of(language)
    return Layer(tag, country) if tag else None


@dataclass(frozen=True, slots=True)
class Field:
    """One pair of a form: keywords and reply of a kind, as typed, with their problems."""

    kind: OptOutType
    keywords: str  # comma-separated, without the reserved words
    reply: str
    reserved: Sequence[str] = ()
    keyword_problems: Sequence[str] = ()
    reply_problems: Sequence[str] = ()
    values: Values = field(default_factory=dict)  # the texts of its placeholders

    @property
    def sent(self) -> str:
        """The reply as recipients get it, whose length and cost count."""
        return filled(self.reply, self.values)

    @property
    def title(self) -> str:
        """The name of the kind on pages."""
        return TITLES[self.kind]

    @property
    def room(self) -> int:
        """How many characters a reply may have."""
        return MAX_REPLY_CHARACTERS


def fields_of(layer: Layer, sets: KeywordSets, values: Values = NO_VALUES) -> list[Field]:
    """The fields that show keyword sets."""
    return [
        Field(
            kind,
            ", ".join(_free(layer, kind, sets[kind].keywords)) if kind in sets else "",
            sets[kind].reply if kind in sets else "",
            _reserved(layer, kind),
            values=values,
        )
        for kind in OptOutType
    ]


def starter_fields(layer: Layer) -> list[Field]:
    """The fields with a language's starter pack in them, for a person to review."""
    pack = starter(layer.language) if layer.language else {}
    return [
        Field(kind, ", ".join(pack[kind]["keywords"]), pack[kind]["reply"]) for kind in OptOutType
    ]


def typed_fields(
    layer: Layer,
    form: Mapping[str, object],
    problems: Sequence[Problem],
    values: Values = NO_VALUES,
) -> list[Field]:
    """The fields as they were typed, each with what is wrong with it."""
    return [
        Field(
            kind,
            str(form.get(f"{kind}.keywords", "")),
            str(form.get(f"{kind}.reply", "")),
            _reserved(layer, kind),
            _of_place(problems, (*layer.path, kind, "keywords")),
            _of_place(problems, (*layer.path, kind, "reply")),
            values,
        )
        for kind in OptOutType
    ]


def typed_sets(layer: Layer, form: Mapping[str, object]) -> dict[str, object]:
    """The keyword sets of a document that a form asks for; pairs left empty are left out."""
    sets: dict[str, object] = {}
    for one in typed_fields(layer, form, ()):
        words = [word.strip() for word in re.split(r"[,\n،、，]", one.keywords) if word.strip()]
        reply = one.reply.replace("\r\n", "\n").strip()
        if layer.language is not None and not words and not reply:
            continue
        have = {exact(word) for word in words}
        words = [word for word in one.reserved if word not in have] + words
        usual = STANDARD[one.kind]
        if layer.language is None and (tuple(words), reply) == (_whole(one.kind), usual.reply):
            continue
        sets[one.kind.value] = {"keywords": words, "reply": reply}
    return sets


def of_no_field(layer: Layer, problems: Sequence[Problem]) -> list[Problem]:
    """Problems that belong to no field of this layer's form."""
    places = {(*layer.path, kind, part) for kind in OptOutType for part in ("keywords", "reply")}
    length = len(layer.path) + 2
    return [problem for problem in problems if problem.place[:length] not in places]


def in_words(said: Problem | Difference) -> str:
    """A problem or a difference with its place as pages call it."""
    if len(said.place) == 2 and said.place[0] == "countries":
        return f"{said.place[1]}: {said.text}"
    field = field_of(said)
    return f"{field.title}: {said.text}" if field else str(said)


class Place(NamedTuple):
    """A field of a layer's form, or the layer."""

    title: str  # on pages
    layer: str  # its form, by its place in the configuration
    anchor: str  # of the field in the form; empty for the whole layer


def field_of(said: Problem | Difference) -> Place | None:
    """The form and the field that a problem or a difference is about, None where it is none."""
    match said.place:
        case (*path, "STOP" | "START" | "HELP" as kind, "keywords" | "reply" as part):
            pair, anchor = f", {TITLES[OptOutType(kind)]} {part}", f"#{kind}-{part}"
        case path:
            pair = anchor = ""
    layer = layer_of_path(path)
    return Place(f"{layer.title}{pair}", layer.place, anchor) if layer else None


def grouped(warnings: Sequence[Problem]) -> list[tuple[Problem, int]]:
    """Warnings, each with the number of other places; those alike in many places come once."""
    alike: dict[tuple[str, str], list[Problem]] = {}
    for warning in warnings:
        alike.setdefault((warning.code, warning.text), []).append(warning)
    groups: list[tuple[Problem, int]] = []
    for first, *others in alike.values():
        many = len(others) > _ALIKE
        groups += [(first, len(others))] if many else [(one, 0) for one in (first, *others)]
    return groups


def _reserved(layer: Layer, kind: OptOutType) -> Sequence[str]:
    return RESERVED[kind] if layer.language is None else ()


def _free(layer: Layer, kind: OptOutType, keywords: Sequence[str]) -> list[str]:
    locked = _reserved(layer, kind)
    return [word for word in keywords if exact(word) not in locked]


def _whole(kind: OptOutType) -> tuple[str, ...]:
    free = [word for word in STANDARD[kind].keywords if word not in RESERVED[kind]]
    return (*RESERVED[kind], *free)


def _of_place(problems: Sequence[Problem], place: tuple[str, ...]) -> list[str]:
    return [problem.text for problem in problems if problem.place[: len(place)] == place]
