"""Types that the models share: ids, addresses, countries and times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

MAX_BODY_CHARACTERS = 4096  # WhatsApp's limit, the longest of the channels

_E164 = r"\+[1-9][0-9]{6,14}"
_USER_ID = r"[A-Z]{2}\.[A-Za-z0-9.]{1,137}"  # WhatsApp's, as Meta sends it

Sid = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
"""An id; Twilio's have two letters and 32 hexadecimal digits, but others are allowed."""

ChangeId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,80}$")]
"""The id of a block change: the id of its cause, then the changed place."""

DeliveryId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,96}$")]
"""The id of a webhook delivery: the id of the message, then the event."""

Number = Annotated[str, StringConstraints(pattern=rf"^{_E164}$")]
"""A bare E.164 number."""

Subscriber = Annotated[str, StringConstraints(pattern=rf"^(?:{_E164}|{_USER_ID})$")]
"""A person on any channel: a bare E.164 number, or a WhatsApp user id."""

UserId = Annotated[str, StringConstraints(pattern=rf"^{_USER_ID}$")]
"""A WhatsApp user id, as Meta sends it."""

RecipientAddress = Annotated[
    str,
    StringConstraints(pattern=rf"^(?:(?:whatsapp:|rcs:)?{_E164}|whatsapp:{_USER_ID})$"),
]
"""A recipient: an E.164 number with an optional channel prefix, or a WhatsApp user id."""

# The first letter may be anywhere in 11 characters; the pattern language has no look-ahead.
_NAME = "|".join(
    f"[0-9 +_&-]{{{before}}}[A-Za-z][A-Za-z0-9 +_&-]{{0,{10 - before}}}" for before in range(11)
)
SenderAddress = Annotated[
    str,
    StringConstraints(
        pattern=rf"^(?:(?:whatsapp:|rcs:)?{_E164}|[0-9]{{3,8}}|rcs:[A-Za-z0-9_.-]{{1,64}}|{_NAME})$",
        max_length=68,
    ),
]
"""One of our senders: a number, a short code, an RCS agent or a name with a letter in it."""

Body = Annotated[str, StringConstraints(max_length=MAX_BODY_CHARACTERS)]
CountryCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
LanguageTag = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=2048)]
_LINE = r"^[^{}\x00-\x1f\x7f]*[^{}\x00-\x1f\x7f\s][^{}\x00-\x1f\x7f]*$"
Brand = Annotated[str, StringConstraints(pattern=_LINE, max_length=64)]
"""The name of a service's owner as recipients know it, to be filled into replies."""
HelpContact = Annotated[str, StringConstraints(pattern=_LINE, max_length=128)]
"""A toll-free number, an e-mail or a web address, to be filled into replies."""
Mark = Annotated[str, StringConstraints(pattern=r"^[0-9]+-[0-9]+$")]
"""The version of a partition's block list: the owner's epoch in ms, then a counter."""


def pattern_of(annotated: object) -> str:
    """Get the pattern of a type above."""
    return str(get_args(annotated)[1].pattern)


HttpMethod = Literal["GET", "POST"]
OptOutType = Literal["STOP", "START", "HELP"]
Scope = Literal["account", "service", "sender"]
ChannelGroup = Literal["sms", "whatsapp"]
Time = Annotated[
    AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC))
]
"""Bounded, so that it can always be converted to UTC."""


class Record(BaseModel):
    """A value of a topic: JSON, snake_case, times RFC 3339 in UTC; unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    schema_version: Literal[1] = Field(
        default=1, description="Optional; must be the topic's version."
    )


PATTERNS = {
    pattern_of(Sid): "an id: 1 to 64 letters, digits and _ . : -",
    pattern_of(ChangeId): "a change id",
    pattern_of(DeliveryId): "a delivery's id",
    pattern_of(Number): "an E.164 number such as +15551234567",
    pattern_of(Subscriber): "an E.164 number such as +15551234567, or a WhatsApp user id such as "
    "US.13491208655302741918",
    pattern_of(UserId): "a WhatsApp user id such as US.13491208655302741918",
    pattern_of(RecipientAddress): "an address: an E.164 number such as +15551234567, with "
    "whatsapp: or rcs: before it on those channels, or a user id such as "
    "whatsapp:US.13491208655302741918",
    pattern_of(SenderAddress): "a sender: an E.164 number, a short code of 3 to 8 digits, rcs: "
    "and an agent, or a name of up to 11 characters",
    pattern_of(CountryCode): "an ISO 3166 country of two capital letters",
    pattern_of(LanguageTag): "a BCP 47 language tag such as es or pt-BR",
    pattern_of(Url): "an http or https address",
    _LINE: "one line of text without braces",
    pattern_of(Mark): "a mark: two numbers with - between",
    r"^[a-z0-9][a-z0-9-]{0,31}$": "a name: up to 32 small letters, digits and -",
    r"^[a-z][a-z0-9_]{0,31}$": "a field's name: small letters, digits and _",
    r"^[A-Z_][A-Z0-9_]{0,127}$": "a variable's name: capitals, digits and _",
    r"^[^\s.]+(\.[^\s.]+)*$": "a path: names of fields with dots between",
    r"\S": "a text: it has white space only",
}
"""The meaning of each pattern, in words for the writer of a record."""
