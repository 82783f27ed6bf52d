"""carriers.v1 (compacted): the providers that receive and send messages for accounts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.common import Record, SenderAddress, Sid, Time, Url

Provider = Literal["twilio", "telnyx", "whatsapp", "kannel", "generic"]
CarrierName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
"""A carrier's name, a part of its URL."""
FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Option = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=34)]
Path = Annotated[
    str, StringConstraints(pattern=r"^[^\s.]+(\.[^\s.]+)*$", min_length=1, max_length=256)
]
"""Names of fields with dots between, from the outermost: ``payload.from.number``."""
MOST_SENDERS = 10_000


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


class Secret(_Part):
    """A secret: sealed here, or in the environment of the processes that use it."""

    sealed: str | None = Field(
        default=None, description="As an account's token: the id of its key, a dot, ciphertext."
    )
    env: Annotated[str, StringConstraints(pattern=r"^[A-Z_][A-Z0-9_]{0,127}$")] | None = None


class CarrierSender(_Part):
    """One of our senders that belongs to a carrier."""

    address: SenderAddress
    account_sid: Sid | None = Field(default=None, description="None: the carrier's account.")
    id: Option | None = Field(default=None, description="The provider's own name for the sender.")


class Received(_Part):
    """Where a request of an unknown provider has the fields of a message."""

    messages: Path | None = Field(
        default=None, description="A list of messages; None: the request is a message."
    )
    id: Path
    from_: Path = Field(alias="from")
    to: Path | None = None
    body: Path
    media: Path | None = Field(default=None, description="A list of media, or their number.")
    received_at: Path | None = None
    user_id: Path | None = Field(
        default=None, description="The writer's WhatsApp user id, beside the number."
    )


class Reported(_Part):
    """Where a status of an unknown provider says what became of a message."""

    status: Path
    words: dict[Word, Literal["sent", "delivered", "undelivered", "failed", "read"]]
    error: Path | None = None


class Sending(_Part):
    """A request that hands a message to an unknown provider; {…} in texts are filled in."""

    method: Literal["GET", "POST"] = "POST"
    headers: dict[Word, Option] = Field(default_factory=dict)
    form: dict[str, str] | None = None
    json_: dict[str, str] | None = Field(default=None, alias="json")
    id: Path | None = Field(default=None, description="The provider's id in its answer.")


class Mapping(_Part):
    """How to read and write for the provider ``generic``."""

    secret_header: Word | None = Field(
        default=None, description="Has the secret; None: the query's parameter `secret` has it."
    )
    signature_header: Word | None = Field(
        default=None, description="Has the body's HMAC-SHA256 by the secret, in hex."
    )
    received: Received | None = None
    reported: Reported | None = None
    sending: Sending | None = None


class Carrier(Record):
    """A provider's connection: the senders it serves, how to trust it and how to send by it."""

    name: CarrierName
    provider: Provider
    account_sid: Sid = Field(description="Of messages to senders that name no other account.")
    senders: Annotated[list[CarrierSender], Field(max_length=MOST_SENDERS)]
    api_url: Url | None = Field(default=None, description="None: the provider's own.")
    options: dict[FieldName, Option] = Field(default_factory=dict)
    secrets: dict[FieldName, Secret] = Field(default_factory=dict)
    answers: list[Word] | None = Field(
        default=None,
        description="Words that the provider acts on and answers itself; None: its usual words.",
    )
    sends_per_second: Annotated[float, Field(gt=0, le=100_000)] | None = None
    mapping: Mapping | None = None
    updated_at: Time
    updated_by: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        default=None, description="The user who changed it last, as `cli/<system user>`."
    )
