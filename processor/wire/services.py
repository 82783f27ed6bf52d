"""Messaging services: what `messaging-services.v1` holds, as core values."""

from __future__ import annotations

from functools import lru_cache

from processor.core.messages import OptOutType, SenderType, sender_type_of
from processor.core.policy import (
    CountryOverride,
    KeywordSet,
    KeywordSets,
    MatchMode,
    OptOutConfig,
)
from processor.core.services import PoolSender, Service
from schemas.messaging_service import KeywordSets as KeywordSetModels
from schemas.messaging_service import MessagingService, OptOut, ServiceDocument


def config_of(model: OptOut) -> OptOutConfig:
    """The core value of a configuration."""
    return OptOutConfig(
        match=MatchMode(model.match),
        repeat_reply=model.repeat_reply == "always",
        yes_only_when_blocked=model.yes_only_when_blocked,
        help_when_blocked=frozenset(SenderType(name) for name in model.help_when_blocked),
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


def service_of(model: MessagingService) -> Service:
    """The core value of a stored service."""
    return Service(
        sid=model.sid,
        account_sid=model.account_sid,
        senders=pool_of(model),
        draft=config_of(model.opt_out),
        active=config_of(model.active) if model.active else None,
        version=model.version,
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


def write_stored(model: MessagingService) -> bytes:
    """The value of `messaging-services.v1`."""
    return model.model_dump_json(by_alias=True, exclude_none=True).encode()


def _sets(kinds: KeywordSetModels) -> KeywordSets:
    return {
        OptOutType(kind): _keyword_set(tuple(model.keywords), model.reply)
        for kind, model in kinds.items()
    }


@lru_cache(maxsize=65_536)
def _keyword_set(keywords: tuple[str, ...], reply: str) -> KeywordSet:
    """Equal ones are the same one: thousands of services have few different ones."""
    return KeywordSet(keywords, reply)
