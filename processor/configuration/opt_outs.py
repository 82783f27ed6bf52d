"""One service's Advanced Opt-Out configuration: changed layer by layer, tried, held against itself.

The names are those of Twilio's model of it: a *keyword type* is an opt-out type and a language
(`STOP.SPANISH`, `STOP.ALL`), a *message type* is where it holds (`ALL`, `MX`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from processor.configuration.differences import differences
from processor.configuration.documents import apply
from processor.configuration.languages import KeywordSetDocument, languages, tag_of
from processor.configuration.warnings import warnings_of
from processor.core.blocks import NO_MARK, Block, Source, SourceKind, place_for
from processor.core.decide import decide
from processor.core.events import BlockChange, OptOutNotification, ReplySend, ReplySent
from processor.core.fold import apply as follow
from processor.core.messages import InboundMessage, OptOutType, Scope, bare_number
from processor.core.policy import KeywordSet, OptOutConfig, Policy, standard_sets
from processor.core.services import Directory, Handling, Service
from processor.errors import ConfigError
from processor.json_types import Json
from processor.wire.countries import COUNTRIES, country_of
from processor.wire.services import config_of, pool_of, service_of
from schemas.messaging_service import MessagingService, OptOut, ServiceDocument

EVERYWHERE = "ALL"  # of a keyword type: no language; of a message type: no country


class Layer(NamedTuple):
    """A place that has keyword sets: standard, a language, or a language in a country."""

    language: str | None
    country: str | None

    @property
    def place(self) -> str:
        """Where it stands in a configuration, as problems name it."""
        if self.language is None:
            return "standard"
        within = f"countries.{self.country}." if self.country else ""
        return f"{within}languages.{self.language}"

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
            problems.append(f"language: {language!r} is none of the 41, by tag (es) or name")
    if message_type not in (EVERYWHERE, *COUNTRIES):
        problems.append(f"country: {message_type!r} is no ISO 3166 country, nor ALL")
    if language == EVERYWHERE and message_type != EVERYWHERE:
        problems.append("language: a country has keyword sets by language; name one")
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
        raise ConfigError([f"keyword_type: {given!r} is not such as STOP.ALL or HELP.SPANISH"])
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
    found = kinds_at(opt_out, layer)
    return None if found is None else {kind.value: _written(one) for kind, one in found.items()}


def _written(one: KeywordSet) -> KeywordSetDocument:
    return {"keywords": list(one.keywords), "reply": one.reply}


def with_sets(
    opt_out: OptOut, layer: Layer, sets: Mapping[str, object], *, fallback: bool | None = None
) -> dict[str, object]:
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
    found = _with(override["languages"], layer.language, sets)
    country = {**override, "languages": found} if found else {}
    return {**document, "countries": _with(document["countries"], layer.country, country)}


def without_country(opt_out: OptOut, country: str) -> dict[str, object]:
    """The document of a configuration without a country's override."""
    document = opt_out.model_dump(mode="json")
    return {**document, "countries": _with(document["countries"], country, {})}


def _with(entries: Mapping[str, object], key: str, value: Json) -> dict[str, object]:
    rest = {name: one for name, one in entries.items() if name != key}
    return {**rest, key: value} if value else rest


def with_draft(before: MessagingService, opt_out: Json, *, now: datetime) -> MessagingService:
    """The service with another draft, in force where its Advanced Opt-Out is enabled (R5).

    Raises:
        ConfigError: with every problem, each with its place in the configuration.
    """
    fields = set(ServiceDocument.model_fields)
    document = before.model_dump(mode="json", by_alias=True, exclude_none=True, include=fields)
    if isinstance(opt_out, dict):
        opt_out = {"enabled": before.active is not None, **opt_out}
        if opt_out["enabled"] is not (before.active is not None):
            raise ConfigError(["enabled: a draft does not change it; Enable and Disable do"])
    given = [{**document, "opt_out": opt_out}]
    applied = apply(given, {before.sid: before}, now=now, new_sid=lambda: before.sid)
    if applied.problems:
        place = f"service 1 ({before.friendly_name}): "
        raise ConfigError(
            [one.removeprefix(place).removeprefix("opt_out.") for one in applied.problems]
        )
    return applied.changed.get(before.sid, before)


def warnings_about(service: ServiceDocument) -> list[str]:
    """What a person should look at before a draft comes into force."""
    return warnings_of(config_of(service.opt_out), pool_of(service))


def not_in_force(service: MessagingService) -> list[str]:
    """How a draft differs from what answers now: the active one, or default handling."""
    active = config_of(service.active) if service.active else OptOutConfig()
    return differences(active, config_of(service.opt_out))


class Trial(NamedTuple):
    """What would become of a message, and why."""

    kind: OptOutType | None  # None: an ordinary message, the application's
    layer: str | None  # where the keyword stands, such as countries.MX.languages.es
    keyword: str | None
    match: str | None  # exact or tolerant
    reply: str | None  # None: none would be sent
    reply_sent: ReplySent  # who answers
    blocked: bool  # afterwards
    aoo_enabled: bool  # False: default handling answers


def try_out(
    service: MessagingService, message: InboundMessage, *, blocked: bool, draft: bool, scope: Scope
) -> Trial:
    """Try a message against a service's draft, or against what is in force, by the lanes' rules.

    Args:
        service: whose keywords these are.
        message: as it would arrive.
        blocked: whether its recipient is on the list before.
        draft: as if the draft were in force.
        scope: of blocks, a setting.
    """
    core: Service = service_of(
        service.model_copy(update={"active": service.opt_out}) if draft else service
    )
    handling = Directory([core]).handling(service.account_sid, service.sid, message.sender)
    country = message.from_country or country_of(bare_number(message.recipient))
    policy: Policy | None = handling.policy
    match = policy.match(message.body, country) if policy else None
    if match is None:
        return Trial(None, None, None, None, None, ReplySent.NONE, blocked, handling.aoo_enabled)
    before = [_block(message, handling, scope)] if blocked else []
    blocks = {block.place: block for block in before}
    decision = decide(message, match, handling, blocks, country=country, scope=scope, mark=NO_MARK)
    for event in decision.events:
        if isinstance(event, BlockChange):
            follow(event, blocks)
    reply = next((one.body for one in decision.events if isinstance(one, ReplySend)), None)
    told = next((one for one in decision.events if isinstance(one, OptOutNotification)), None)
    return Trial(
        match.kind if told else None,  # YES of somebody who is not blocked may be ordinary (R19)
        Layer(match.language, match.country).place,
        match.keyword,
        match.tier.value,
        reply,
        told.reply_sent if told else ReplySent.NONE,
        bool(blocks),
        handling.aoo_enabled,
    )


def _block(message: InboundMessage, handling: Handling, scope: Scope) -> Block:
    place = place_for(scope, service_sid=handling.service_sid, sender=message.sender)
    at_ms = message.received_at_ms
    return Block(*place, (Source(SourceKind.KEYWORD, "trial", at_ms, at_ms),), NO_MARK)
