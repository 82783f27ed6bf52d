"""The layers of one service's opt-out configuration, read and replaced one at a time.

The names are those of Twilio's model of it: a *keyword type* is an opt-out type and a language
(`STOP.SPANISH`, `STOP.ALL`), a *message type* is where it holds (`ALL`, `MX`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from processor.configuration.languages import KeywordSetDocument, languages, starter, tag_of
from processor.core.messages import OptOutType
from processor.core.policy import KeywordSet, standard_sets
from processor.errors import ConfigError, Problem
from processor.json_types import JsonObject
from processor.wire.countries import COUNTRIES
from processor.wire.services import config_of
from schemas.messaging_service import OptOut

EVERYWHERE = "ALL"  # of a keyword type: no language; of a message type: no country


class Layer(NamedTuple):
    """A place that has keyword sets: standard, a language, or a language in a country."""

    language: str | None
    country: str | None

    @property
    def path(self) -> tuple[str, ...]:
        """Its place in a configuration, as problems have it."""
        if self.language is None:
            return ("standard",)
        within = ("countries", self.country) if self.country else ()
        return (*within, "languages", self.language)

    @property
    def place(self) -> str:
        """Its place in a configuration, as people and addresses name it."""
        return ".".join(self.path)

    @property
    def language_name(self) -> str:
        """The language as a keyword type names it."""
        return EVERYWHERE if self.language is None else _name_of(self.language)


STANDARD_LAYER = Layer(None, None)


def layer_of(language: str, message_type: str = EVERYWHERE) -> Layer:
    """The layer of a language (a tag, a name, or `ALL`) in a country (or `ALL`).

    Raises:
        ConfigError: where there is no such language or country.
    """
    problems = []
    tag = None
    if language != EVERYWHERE:
        tag = tag_of(language.replace("_", " ")) or tag_of(language)
        if tag is None:
            text = f"{language!r} is unknown; give a tag (es) or an English name (Spanish)"
            problems.append(Problem(("language",), "unknown_language", text))
    if message_type not in (EVERYWHERE, *COUNTRIES):
        text = f"{message_type!r} is neither an ISO 3166 country nor ALL"
        problems.append(Problem(("country",), "unknown_country", text))
    if language == EVERYWHERE and message_type != EVERYWHERE:
        text = "a country has keyword sets by language; name one"
        problems.append(Problem(("language",), "language_missing", text))
    if problems:
        raise ConfigError(problems)
    return Layer(tag, None if message_type == EVERYWHERE else message_type)


def keyword_type_of(given: str) -> tuple[OptOutType, str]:
    """The opt-out type and the language of a keyword type.

    Raises:
        ConfigError: where it is none.
    """
    kind, dot, language = given.partition(".")
    if kind not in OptOutType.__members__ or not dot:
        text = f"{given!r} is not such as STOP.ALL or HELP.SPANISH"
        raise ConfigError([Problem(("keyword_type",), "keyword_type", text)])
    return OptOutType(kind), language


def _name_of(tag: str) -> str:
    """A language of a configuration by Twilio's name; a tag of more than a language by itself."""
    known = languages().get(tag)
    return known.name.upper().replace(" ", "_") if known else tag


def layers(opt_out: OptOut) -> Iterator[tuple[Layer, Mapping[OptOutType, KeywordSet]]]:
    """Every layer of a configuration with its keyword sets; the standard one whole (R7)."""
    config = config_of(opt_out)
    yield STANDARD_LAYER, standard_sets(config)
    for tag, kinds in config.languages.items():
        yield Layer(tag, None), kinds
    for country, override in config.countries.items():
        for tag, kinds in override.languages.items():
            yield Layer(tag, country), kinds


def kinds_at(opt_out: OptOut, layer: Layer) -> Mapping[OptOutType, KeywordSet] | None:
    """The keyword sets of a layer, None where it is not there."""
    return dict(layers(opt_out)).get(layer)


def sets_at(opt_out: OptOut, layer: Layer) -> dict[str, KeywordSetDocument] | None:
    """The keyword sets of a layer as a document writes them, None where it is not there."""
    kinds = kinds_at(opt_out, layer)
    return None if kinds is None else {kind.value: _written(one) for kind, one in kinds.items()}


def _written(keyword_set: KeywordSet) -> KeywordSetDocument:
    return {"keywords": list(keyword_set.keywords), "reply": keyword_set.reply}


def with_sets(
    opt_out: OptOut, layer: Layer, sets: Mapping[str, object], *, fallback: bool | None = None
) -> JsonObject:
    """The document of a configuration with one layer replaced; without it where it has no sets.

    Args:
        opt_out: the configuration.
        layer: which.
        sets: its keyword sets, as a document writes them.
        fallback: whether the layer's country tries the other layers, too; None leaves it.
    """
    document = opt_out.model_dump(mode="json")
    if layer.language is None:
        return {**document, "standard": sets}
    if layer.country is None:
        return {**document, "languages": _with(document["languages"], layer.language, sets)}
    override = document["countries"].get(layer.country, {"languages": {}})
    if fallback is not None:
        override = {**override, "country_fallback": fallback}
    tags = _with(override["languages"], layer.language, sets)
    country = {**override, "languages": tags} if tags else {}
    return {**document, "countries": _with(document["countries"], layer.country, country)}


def with_packs(opt_out: OptOut, tags: Iterable[str]) -> JsonObject:
    """The document of a configuration with languages' starter packs; its own languages stay."""
    document = opt_out.model_dump(mode="json")
    packs = {tag: starter(tag) for tag in tags}
    return {**document, "languages": {**packs, **document["languages"]}}


def without_country(opt_out: OptOut, country: str) -> JsonObject:
    """The document of a configuration without a country's override."""
    document = opt_out.model_dump(mode="json")
    return {**document, "countries": _with(document["countries"], country, {})}


def _with(entries: Mapping[str, object], key: str, value: object) -> dict[str, object]:
    """Entries with one replaced, or taken out where its value is empty."""
    rest = {name: entry for name, entry in entries.items() if name != key}
    return {**rest, key: value} if value else rest
