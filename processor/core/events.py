"""What a decision emits: block changes, replies and notifications."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from processor.core.blocks import Block, Mark, Place
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
    claimed_source: str | None = None  # what an import says that the block came from
    actor: str | None = None  # who gave a command


@dataclass(frozen=True, slots=True)
class BlockChange:
    """One place of an entry holds another block than before, or none any more."""

    change_id: str
    account_sid: str
    place: Place
    recipient: str  # bare E.164
    channel_group: ChannelGroup
    block: Block | None  # that stands there now
    cause: Cause
    mark: Mark
    at_ms: int  # when the cause's record was appended
    previous: bool  # whether a block stood there before

    @property
    def blocked(self) -> bool:
        """Whether a block stands there now."""
        return self.block is not None


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
