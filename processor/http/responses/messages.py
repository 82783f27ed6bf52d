"""Messages (2010-04-01)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from processor.http.paging import Nothing, Uris
from processor.http.times import time_2010, time_of
from processor.stores.messages import StoredMessage


class MessageUris(TypedDict):
    """Links to the parts of a message."""

    media: str


_From = TypedDict(  # a keyword of Python
    "_From",
    {
        "from": Annotated[
            str | None, Field(description="Null until a sender of the pool is chosen.")
        ]
    },
)


class Message(_From):
    """A message that was sent, and its outcome."""

    sid: str
    account_sid: str
    messaging_service_sid: str | None
    to: str
    body: str
    status: Annotated[
        str,
        Field(
            description="`accepted` or `queued`, then set by the gate (`failed`) or the carrier.",
            examples=["accepted"],
        ),
    ]
    direction: str
    num_segments: Annotated[str, Field(description="`0` until a sender is chosen.")]
    num_media: str
    error_code: Annotated[
        int | None, Field(description="21610: the recipient opted out.", examples=[21610])
    ]
    error_message: str | None
    price: None
    price_unit: str
    date_created: Annotated[str, Field(examples=["Thu, 30 Jul 2015 20:12:31 +0000"])]
    date_updated: str
    date_sent: str | None
    api_version: str
    subresource_uris: MessageUris
    uri: str


class Messages(Uris):
    """A page of messages."""

    messages: list[Message]


class Media(Uris):
    """A page of a message's media."""

    media_list: Nothing


def message_of(message: StoredMessage) -> Message:
    """Write a message as Twilio does."""
    uri = f"/2010-04-01/Accounts/{message.account_sid}/Messages/{message.sid}"
    return {
        "sid": message.sid,
        "account_sid": message.account_sid,
        "messaging_service_sid": message.service_sid,
        "from": message.sender,
        "to": message.to,
        "body": message.body,
        "status": message.status,
        "direction": "outbound-api",
        "num_segments": str(message.num_segments),
        "num_media": str(message.num_media),
        "error_code": message.error_code,
        "error_message": message.error_message,
        "price": None,
        "price_unit": "USD",
        "date_created": time_2010(time_of(message.created_at_ms)),
        "date_updated": time_2010(time_of(message.updated_at_ms)),
        "date_sent": time_2010(time_of(message.sent_at_ms)) if message.sent_at_ms else None,
        "api_version": "2010-04-01",
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "uri": f"{uri}.json",
    }
