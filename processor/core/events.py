"""What a decision emits: block changes, replies and notifications."""

from __future__ import annotations

from base64 import b32encode
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from processor.core.blocks import Mark, Place
from processor.core.messages import ChannelGroup, InboundMessage, OptOutType
from processor.core.policy import Match
from processor.core.services import Webhook


class ReplySent(StrEnum):
    """Who answers a matched message: AOO, default handling, the toll-free network, nobody (R27)."""

    AOO = "aoo"
    DEFAULT = "default"
    CARRIER = "carrier"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Cause:
    """What changed the block list: a message's keyword, or an operator's command (R29)."""

    id: str  # the message's or the command's sid: a replay is recognised by it
    kind: OptOutType | None  # None for a command
    keyword: str | None
    sender: str | None
    source: str  # "keyword", "unread-stop", or as the command says
    reason: str | None = None
    claimed_ms: int | None = None  # when a command says that it was asked for


@dataclass(frozen=True, slots=True)
class BlockChange:
    """Put a recipient on the block list in one place, or take the recipient off it there."""

    change_id: str
    place: Place
    recipient: str  # bare E.164
    channel_group: ChannelGroup
    blocked: bool
    cause: Cause
    mark: Mark
    at_ms: int  # when the cause's record was appended
    previous: bool  # whether a block stood there before


@dataclass(frozen=True, slots=True)
class ReplySend:
    """A confirmation for the recipient, sent past the gate."""

    reply_sid: str
    message: InboundMessage  # the one it answers
    service_sid: str | None
    body: str
    kind: OptOutType
    language: str | None


@dataclass(frozen=True, slots=True)
class OptOutNotification:
    """Tells the customer that a message matched, and what that did (R27)."""

    message: InboundMessage
    service_sid: str | None
    match: Match
    effective: bool  # whether the list now is as the keyword asks
    reply_sent: ReplySent
    aoo_enabled: bool
    config_version: int | None


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """The request that tells a service's application of an inbound message (R28)."""

    message: InboundMessage
    service_sid: str | None
    webhook: Webhook
    opt_out_type: OptOutType | None  # of a match where AOO is enabled


Event = BlockChange | ReplySend | OptOutNotification | WebhookDelivery


def change_id_of(cause_id: str, place: Place) -> str:
    """A change's id: the same whenever the same cause changes the same place."""
    return f"{cause_id}.{'carrier' if place.carrier else place.scope.value}"


def replaced_id_of(cause_id: str, place: Place) -> str:
    """The id of the change that takes one of many blocks away, which one block replaces."""
    target = blake2b(f"{place.carrier}:{place.target}".encode(), digest_size=4).digest()
    return f"{change_id_of(cause_id, place)}.{b32encode(target).decode().rstrip('=').lower()}"


def reply_sid_of(message_sid: str) -> str:
    """The sid of the reply to a message: the same at every replay, in the form of an ``SM`` sid."""
    return "SM" + blake2b(f"reply:{message_sid}".encode(), digest_size=16).hexdigest()
