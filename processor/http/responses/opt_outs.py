"""Advanced Opt-Out configurations (v3)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from processor.configuration import trial as trials
from processor.configuration.languages import KeywordSetDocument
from processor.core.events import ReplySent
from processor.core.messages import OptOutType
from processor.http.errors import Problem
from processor.http.paging import Meta
from processor.http.responses.services import created_at
from processor.http.times import time_v1
from processor.wire.suspected import SuspicionFields, suspicion_fields
from schemas.messaging_service import MessagingService, OptOut

KeywordSets = Annotated[
    dict[str, KeywordSetDocument], Field(description="By opt-out type: STOP, START, HELP.")
]


class DefaultKeyword(TypedDict):
    """A keyword that every new configuration has."""

    keyword: str
    reserved: Annotated[bool, Field(description="It cannot be removed.")]


class DefaultSet(TypedDict):
    """The keywords and the message that an opt-out type has in a new configuration."""

    keywords: list[DefaultKeyword]
    message: str


class KnownLanguage(TypedDict):
    """A language that keyword types can name."""

    language: Annotated[str, Field(description="The name that keyword types use.")]
    tag: str
    name: str
    native_name: str
    direction: Literal["ltr", "rtl"]


class KnownLanguages(TypedDict):
    """All languages."""

    languages: list[KnownLanguage]


class MessageTypes(TypedDict):
    """`ALL`, then countries."""

    message_types: list[str]


class StarterPack(TypedDict):
    """Suggested keyword sets for a language."""

    language: str
    status: Annotated[str, Field(description="`unreviewed`, or `reviewed` with reviewer and date.")]
    sets: KeywordSets
    sources: Annotated[
        dict[str, str],
        Field(description="Sources that document a keyword's use, if there are any."),
    ]


class ConfigurationHead(TypedDict):
    """A configuration in a list."""

    opt_out_sid: str
    account_sid: str
    service_sid: str
    friendly_name: str
    date_created: str
    date_updated: str
    version: Annotated[int, Field(description="The value of `ETag` and `If-Match`.")]


class Configurations(TypedDict):
    """A page of configurations."""

    meta: Meta
    opt_outs: list[ConfigurationHead]


class Configuration(ConfigurationHead):
    """A complete configuration."""

    enabled: bool
    draft: OptOut
    active: Annotated[OptOut | None, Field(description="In force; null until it is enabled.")]


class Validated(TypedDict):
    """The errors and warnings of a draft."""

    errors: Annotated[list[Problem], Field(description="It is refused for these.")]
    warnings: list[Problem]


class Diff(TypedDict):
    """The differences between the draft and the active configuration."""

    differences: list[str]
    enabled: bool


class Trial(TypedDict):
    """The result that a message would have, and the reason."""

    kind: Annotated[OptOutType | None, Field(description="Null: an ordinary message.")]
    layer: Annotated[str | None, Field(examples=["countries.MX.languages.es"])]
    keyword: str | None
    match: Annotated[str | None, Field(description="`exact`, `clean` or `tolerant`.")]
    reply: Annotated[str | None, Field(description="Null: no reply would be sent.")]
    reply_sent: Annotated[ReplySent, Field(description="Who answers.")]
    blocked: Annotated[bool, Field(description="Afterwards.")]
    aoo_enabled: Annotated[bool, Field(description="False: default handling answers.")]
    suspected: Annotated[
        SuspicionFields | None,
        Field(description="How a text was read that is not a keyword itself."),
    ]


class Trials(TypedDict):
    """A message tried twice."""

    draft: Trial
    active: Trial


class Place(TypedDict):
    """The place of keywords and a message."""

    keyword_type: Annotated[str, Field(examples=["STOP.SPANISH"])]
    message_type: Annotated[str, Field(description="`ALL` or a country.", examples=["MX"])]


class Keywords(Place):
    """The keywords of a keyword type and message type."""

    keywords: list[str]


class AllKeywords(TypedDict):
    """The keywords of a draft."""

    config: list[Keywords]


class Reply(Place):
    """The message of a keyword type and message type."""

    message: str


class AllReplies(TypedDict):
    """The messages of a draft."""

    config: list[Reply]


class KeywordsAndReply(Keywords):
    """The keywords and the message of a keyword type and message type."""

    message: str


def head_of(service: MessagingService) -> ConfigurationHead:
    """Write a service's configuration for a list."""
    return {
        "opt_out_sid": f"OO{service.sid[2:]}",
        "account_sid": service.account_sid,
        "service_sid": service.sid,
        "friendly_name": service.friendly_name,
        "date_created": time_v1(created_at(service)),
        "date_updated": time_v1(service.updated_at),
        "version": service.version,
    }


def whole_of(service: MessagingService) -> Configuration:
    """Write a service's complete configuration."""
    return {
        **head_of(service),
        "enabled": service.active is not None,
        "draft": service.opt_out,
        "active": service.active,
    }


def trial_of(trial: trials.Trial) -> Trial:
    """Write the result of a message that was tried."""
    return {
        "kind": trial.kind,
        "layer": trial.layer,
        "keyword": trial.keyword,
        "match": trial.match,
        "reply": trial.reply,
        "reply_sent": trial.reply_sent,
        "blocked": trial.blocked,
        "aoo_enabled": trial.aoo_enabled,
        "suspected": suspicion_fields(trial.finding),
    }
