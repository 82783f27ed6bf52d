"""messaging-services.v1 (compacted), and the documents of `services.yaml`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from schemas.common import (
    Brand,
    CountryCode,
    HelpContact,
    HttpMethod,
    LanguageTag,
    OptOutType,
    Record,
    SenderAddress,
    Sid,
    Time,
    Url,
)

MAX_KEYWORD_CHARACTERS = 34
MAX_KEYWORDS = 20  # besides the reserved words
MAX_REPLY_CHARACTERS = 320  # as written, and again once placeholders are filled in
MAX_REPLY_LIMIT = 20

TierPolicy = Literal["block", "report", "off"]
PoolSenderType = Literal["long_code", "toll_free", "short_code", "whatsapp", "rcs", "alphanumeric"]
Keyword = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_KEYWORD_CHARACTERS)
]


COMMA = re.compile("[,\u060c\uff0c\u3001]")  # of Arabic and Chinese keyboards, too


def as_keywords(given: object) -> object:
    """Read keywords from a list or a comma-separated text; drop empty keywords (R8)."""
    if isinstance(given, str):
        given = COMMA.split(given)
    if isinstance(given, list):
        return [word for word in given if not (isinstance(word, str) and not word.strip())]
    return given


class Part(BaseModel):
    """A part of a service's document."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


class KeywordSet(Part):
    """The keywords and the reply of an opt-out type."""

    keywords: Annotated[list[Keyword], BeforeValidator(as_keywords)]
    reply: Annotated[
        str, StringConstraints(min_length=1, max_length=MAX_REPLY_CHARACTERS, pattern=r"\S")
    ]


KeywordSets = dict[OptOutType, KeywordSet]


class CountryOverride(Part):
    """Keyword sets of a country, read before the standard sets."""

    country_fallback: bool = Field(
        default=True, description="False: on a miss, only the reserved words are tried."
    )
    languages: Annotated[dict[LanguageTag, KeywordSets], Field(min_length=1)]


class OptOut(Part):
    """The Advanced Opt-Out configuration in its three layers."""

    enabled: bool = False
    match: Literal["exact", "tolerant"] = "tolerant"
    repeat_reply: Literal["once", "always"] = "once"
    yes_only_when_blocked: bool = False
    help_when_blocked: list[PoolSenderType] = Field(default_factory=list)
    stop_when_blocked: list[PoolSenderType] = Field(
        default=["short_code"], description="These types confirm every STOP."
    )
    reply_limit: int = Field(
        default=4,
        ge=1,
        le=MAX_REPLY_LIMIT,
        description="Replies of a kind to one recipient by one sender within an hour.",
    )
    late_reply: Literal["send", "drop"] = Field(
        default="send", description="The fate of a reply that is not sent within five minutes."
    )
    phrases: TierPolicy | None = Field(
        default=None,
        description="The effect of a request in so many words (`stop please`). Default: `block` "
        "for recipients in the US and Canada, else `report`.",
    )
    suspected: TierPolicy | None = Field(
        default=None,
        description="The effect of other texts that seem to ask for an end. Default: `report`.",
    )
    overdue: Literal["block", "keep"] | None = Field(
        default=None,
        description="The fate of a recipient whose text was not reviewed within ten business "
        "days. Default: `block` for recipients in the US, else `keep`.",
    )
    standard: KeywordSets = Field(default_factory=dict)
    languages: dict[LanguageTag, KeywordSets] = Field(default_factory=dict)
    countries: dict[CountryCode, CountryOverride] = Field(default_factory=dict)


class PoolSender(Part):
    """A sender in the service's pool."""

    address: SenderAddress
    type: PoolSenderType | None = Field(
        default=None, description="Derived from the address if absent."
    )
    country: CountryCode | None = None
    registered: dict[OptOutType, KeywordSet] | None = Field(
        default=None, description="The keyword sets of a short code's registration."
    )


class ServiceDocument(Part):
    """A messaging service as `services.yaml` describes it; its configuration is the draft."""

    sid: Sid | None = Field(default=None, description="Generated if absent.")
    account_sid: Sid
    friendly_name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    brand: Brand | None = Field(
        default=None, description="The name that recipients know; fills `{brand}` in replies."
    )
    help_contact: HelpContact | None = Field(
        default=None,
        description="A toll-free number, e-mail or web address; fills `{help_contact}` in replies.",
    )
    senders: list[PoolSender] = Field(default_factory=list)
    inbound_request_url: Url | None = None
    inbound_method: HttpMethod = "POST"
    fallback_url: Url | None = Field(
        default=None, description="Called if the inbound request failed."
    )
    fallback_method: HttpMethod = "POST"
    status_callback: Url | None = Field(default=None, description="For sends that name none.")
    use_inbound_webhook_on_number: bool = False
    sticky_sender: bool = Field(
        default=True, description="Stored without effect, like the fields below."
    )
    mms_converter: bool = True
    smart_encoding: bool = True
    scan_message_content: Literal["inherit", "enable", "disable"] = "inherit"
    fallback_to_long_code: bool = True
    area_code_geomatch: bool = True
    synchronous_validation: bool = False
    validity_period: Annotated[int, Field(ge=1, le=36_000)] = 36_000
    usecase: Literal[
        "notifications", "marketing", "verification", "discussion", "poll", "undeclared"
    ] = "undeclared"
    opt_out: OptOut = Field(default_factory=OptOut)


class MessagingService(Record, ServiceDocument):
    """A messaging service as stored: its document is the draft, and ``active`` is in force."""

    sid: Sid
    active: OptOut | None = Field(
        default=None, description="In force; None until Advanced Opt-Out is enabled."
    )
    version: int = Field(ge=1, description="Grows by 1 with every save.")
    created_at: Time | None = Field(
        default=None, description="None in records older than this field."
    )
    updated_at: Time
