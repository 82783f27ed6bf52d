"""The values that every provider's module takes and returns, and what such a module offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from schemas.carrier import Mapping as FieldMapping

Status = Literal["queued", "sending", "sent", "delivered", "undelivered", "failed", "read"]


@dataclass(frozen=True, slots=True)
class Sender:
    """One of our senders that belongs to a carrier."""

    address: str  # with its channel prefix
    account_sid: str
    id: str | None = None  # the provider's own name for it


@dataclass(frozen=True, slots=True)
class Connection:
    """A carrier as it is configured, with its secrets opened."""

    name: str
    provider: str
    account_sid: str
    senders: Mapping[str, Sender]  # by address
    api_url: str  # without a slash at its end; empty: this provider has none of its own
    options: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    answers: frozenset[str] = frozenset()  # words that the provider answers, in their exact form
    sends_per_second: float | None = None
    mapping: FieldMapping | None = None
    closed: tuple[str, ...] = ()  # names of secrets that cannot be opened: it cannot be used

    def with_id(self, id_: str) -> Sender | None:
        """The sender that the provider calls so."""
        return next((one for one in self.senders.values() if one.id == id_), None)


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a provider."""

    method: str
    url: str  # whole, as the provider requested it: some sign it
    query: str
    headers: Mapping[str, str]  # by name in small letters
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The response that a provider expects."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Received:
    """A message of a recipient; addresses have their channel prefix, and are not checked yet."""

    id: str  # the provider's; the same when the message comes again
    recipient: str  # its writer
    sender: str  # our sender, to which it was written
    body: str
    num_media: int = 0
    country: str | None = None  # of the recipient, ISO 3166-1 alpha-2
    received_ms: int | None = None  # by the provider's clock
    user_id: str | None = None  # the writer's id on WhatsApp, beside the number


@dataclass(frozen=True, slots=True)
class Changed:
    """A person on WhatsApp has a new number, a new user id or both; they are not checked yet."""

    id: str  # the provider's; the same when the event comes again
    sender: str  # ours, whose provider noticed it
    before: tuple[str, ...]  # the old addresses, without the channel
    number: str | None  # the new number, if the provider may say it
    user_id: str | None  # the new user id
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """The new status of a message that was sent."""

    reference: str | None  # that we gave the provider with the message; None: it is not ours
    status: Status
    error_code: int | None = None
    error_message: str | None = None
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part of a request that cannot be read."""

    why: str  # without anything of the part
    value: bytes


@dataclass(frozen=True, slots=True)
class Parsed:
    """The content of a request."""

    messages: tuple[Received, ...] = ()
    statuses: tuple[Reported, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    changes: tuple[Changed, ...] = ()  # of persons' addresses
    passed_over: int = 0  # events of kinds that mean nothing here


@dataclass(frozen=True, slots=True)
class Send:
    """A message to hand over."""

    sid: str  # the same at every try
    sender: Sender
    recipient: str  # with its channel prefix
    body: str
    media_urls: tuple[str, ...] = ()
    reference: str = ""
    status_url: str | None = None  # for reports; it contains the reference


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a provider."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """A provider's response."""

    status: int
    body: bytes
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has the message."""

    id: str | None  # the provider's


@dataclass(frozen=True, slots=True)
class Rejected:
    """The provider will never take this message."""

    code: int | None
    message: str
    is_ours: bool = False  # the message is our words, without anything of the send


@dataclass(frozen=True, slots=True)
class Again:
    """The provider may take it later."""

    why: str
    at_least_s: float = 0.0
    is_ill: bool = True  # the provider, not only this message: its circuit counts it


Outcome = Accepted | Rejected | Again


class NotSendable(Exception):
    """A message that this provider cannot send; the text says why, without anything of it."""


def no_challenge(request: Request, connection: Connection) -> Answer | None:
    """Nothing: the provider checks no address before it uses it."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A provider's module.

    ``verify`` takes the present time in seconds since 1970. ``parse`` and ``outcome`` never raise.
    ``build`` raises ``NotSendable``.
    """

    provider: str
    verify: Callable[[Request, Connection, float], bool]
    parse: Callable[[Request, Connection], Parsed]
    build: Callable[[Send, Connection], Call]
    outcome: Callable[[Response, Connection], Outcome]
    challenge: Callable[[Request, Connection], Answer | None] = no_challenge
    answer: Answer = Answer()
    api_url: str = ""
    answers: tuple[str, ...] = ()  # words that the provider acts on and answers by itself
    secrets: tuple[str, ...] = ()  # needed
    options: tuple[str, ...] = ()  # needed
    other_secrets: tuple[str, ...] = ()
    other_options: tuple[str, ...] = ()
    any_secrets: bool = False  # further secrets may have any name
