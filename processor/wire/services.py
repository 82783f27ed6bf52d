"""Messaging services: the values of `messaging-services.v1` as core values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import msgspec

from processor.core.messages import OptOutType, SenderType, sender_type_of
from processor.core.placeholders import PLACEHOLDERS, Values, with_values
from processor.core.policy import (
    CountryOverride,
    KeywordSet,
    KeywordSets,
    LateReply,
    MatchMode,
    OptOutConfig,
)
from processor.core.services import PoolSender, Service, Webhook
from processor.core.suspected import Overdue, OwnWords, TierPolicy
from processor.wire.sized_cache import sized_cache
from schemas.messaging_service import KeywordSets as KeywordSetModels
from schemas.messaging_service import MessagingService, OptOut, ServiceDocument


def config_of(model: OptOut) -> OptOutConfig:
    """The core value of a configuration, its replies as they were written."""
    return OptOutConfig(
        match=MatchMode(model.match),
        repeat_reply=model.repeat_reply == "always",
        yes_only_when_blocked=model.yes_only_when_blocked,
        help_when_blocked=frozenset(SenderType(name) for name in model.help_when_blocked),
        stop_when_blocked=frozenset(SenderType(name) for name in model.stop_when_blocked),
        reply_limit=model.reply_limit,
        late_reply=LateReply(model.late_reply),
        own_words=_own_words(model),
        standard=_sets(model.standard),
        languages={tag: _sets(kinds) for tag, kinds in model.languages.items()},
        countries={
            country: CountryOverride(
                languages={tag: _sets(kinds) for tag, kinds in override.languages.items()},
                country_fallback=override.country_fallback,
            )
            for country, override in model.countries.items()
        },
    )


def _own_words(model: OptOut) -> OwnWords:
    phrases, suspected, overdue = model.phrases, model.suspected, model.overdue
    return OwnWords(
        TierPolicy(phrases) if phrases else None,
        TierPolicy(suspected) if suspected else None,
        Overdue(overdue) if overdue else None,
    )


def values_of(model: ServiceDocument) -> Values:
    """The texts that fill the placeholders of a service's replies (R17)."""
    given = ((name, getattr(model, name)) for name in PLACEHOLDERS)
    return {name: text for name, text in given if text is not None}


def service_of(model: MessagingService) -> Service:
    """The core value of a stored service, its replies filled in."""
    return _service(model, config_of(model.active) if model.active else None)


def _service(model: MessagingService, active: OptOutConfig | None) -> Service:
    return Service(
        sid=model.sid,
        account_sid=model.account_sid,
        senders=pool_of(model),
        active=with_values(active, values_of(model)) if active else None,
        version=model.version,
        webhook=_webhook(model),
        status_callback=model.status_callback,
    )


def _webhook(model: ServiceDocument) -> Webhook | None:
    if model.inbound_request_url is None:
        return None
    return Webhook(
        model.inbound_request_url,
        model.inbound_method,
        model.fallback_url,
        model.fallback_method,
    )


def pool_of(model: ServiceDocument) -> tuple[PoolSender, ...]:
    """The senders of a service, typed by their address where the document does not say."""
    return tuple(
        PoolSender(
            address=sender.address,
            type=SenderType(sender.type) if sender.type else sender_type_of(sender.address),
            registered=_sets(sender.registered) if sender.registered else None,
        )
        for sender in model.senders
    )


def read_stored(value: bytes) -> MessagingService:
    """A value of `messaging-services.v1`; raises pydantic's ``ValidationError``."""
    return MessagingService.model_validate_json(value)


def read_head(value: bytes) -> MessagingService:
    """A value of `messaging-services.v1` without its opt-out configuration, which is most of it.

    All of it is checked: a record is good or bad as a whole, here as in a worker.
    """
    try:
        return _in_parts(value)[0]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return read_stored(value)  # which says what is wrong, and where


def write_stored(model: MessagingService) -> bytes:
    """The value of `messaging-services.v1`."""
    return model.model_dump_json(by_alias=True, exclude_none=True).encode()


def read_service(value: bytes) -> Service:
    """The core value of a value of `messaging-services.v1`; raises pydantic's ``ValidationError``.

    Thousands of services say much the same in each language and country: equal bytes
    are read once, and are one object in memory.
    """
    try:
        return _service(*_in_parts(value))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return service_of(read_stored(value))  # which says what is wrong, and where


_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NOTHING = msgspec.Raw(b"{}")
_MOST_BYTES = 4 << 20  # of each kind of part in the cache


def _in_parts(value: bytes) -> tuple[MessagingService, OptOutConfig | None]:
    """A service without its configuration, and what is in force of that; the draft is checked."""
    top = _parts(value)
    draft, active = top.pop("opt_out", _NOTHING), top.pop("active", msgspec.Raw(b"null"))
    model = MessagingService.model_validate_json(msgspec.json.encode(top))
    in_force = None if bytes(active) == b"null" else _config_in_parts(active)
    if bytes(draft) != bytes(active):
        _config_in_parts(draft)
    return model, in_force


def _config_in_parts(raw: msgspec.Raw) -> OptOutConfig:
    rest = _parts(raw)
    standard, languages, countries = (
        bytes(rest.pop(name, _NOTHING)) for name in ("standard", "languages", "countries")
    )
    return replace(
        config_of(OptOut.model_validate_json(msgspec.json.encode(rest))),
        standard=_part(_object("standard", standard)).standard,
        languages=_languages(languages),
        countries=_countries(countries),
    )


@sized_cache(_MOST_BYTES)
def _languages(value: bytes) -> Mapping[str, KeywordSets]:
    return {
        tag: _part(_object("languages", _object(tag, kinds))).languages[tag]
        for tag, kinds in _parts(value).items()
    }


@sized_cache(_MOST_BYTES)
def _countries(value: bytes) -> Mapping[str, CountryOverride]:
    return {
        country: _part(_object("countries", _object(country, override))).countries[country]
        for country, override in _parts(value).items()
    }


def _object(key: str, value: msgspec.Raw | bytes) -> bytes:
    return b"{%b:%b}" % (msgspec.json.encode(key), bytes(value))


@sized_cache(_MOST_BYTES)
def _part(value: bytes) -> OptOutConfig:
    return config_of(OptOut.model_validate_json(value))


def _sets(kinds: KeywordSetModels) -> KeywordSets:
    return {
        OptOutType(kind): _keyword_set(_keywords(tuple(model.keywords)), model.reply)
        for kind, model in kinds.items()
    }


@lru_cache(maxsize=4_096)
def _keyword_set(keywords: tuple[str, ...], reply: str) -> KeywordSet:
    """A keyword set, interned: thousands of services share a few different sets."""
    return KeywordSet(keywords, reply)


@lru_cache(maxsize=4_096)
def _keywords(keywords: tuple[str, ...]) -> tuple[str, ...]:
    return keywords
