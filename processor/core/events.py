"""The events of a decision: block changes, replies, notifications and webhook requests."""

from __future__ import annotations

from enum import StrEnum

from processor.core.blocks import Block, Mark, Place
from processor.core.due import due_ms
from processor.core.messages import Arrival, ChannelGroup, InboundMessage, OptOutType
from processor.core.order import first_ms
from processor.core.policy import LateReply, Match
from processor.core.services import Webhook
from processor.core.suspected import Finding, TierPolicy
from processor.core.values import value

_LAWFUL_MS = 300_000  # 47 CFR 64.1200(a)(12)


def send_before_ms(arrival: Arrival) -> int:
    """Until when a reply is presumed to be lawful: five minutes after the keyword came (R36).

    A record that was sent on or redriven counts from its first append time.
    """
    return first_ms(arrival) + _LAWFUL_MS


class ReplySent(StrEnum):
    """The origin of the answer to a matched message; NONE: there is no answer (R27)."""

    AOO = "aoo"
    DEFAULT = "default"
    CARRIER = "carrier"
    NONE = "none"


@value(frozen=True, slots=True)
class Cause:
    """The cause of a change to the block list: a keyword message, or a command (R29)."""

    id: str  # of the message or command, so that a replay is recognised
    kind: OptOutType | None  # None for a command
    keyword: str | None
    sender: str | None
    source: str  # "keyword", "own-words", "unread-stop", or as the command says
    reason: str | None = None
    claimed_ms: int | None = None  # when the change was requested, as the command says
    claimed_source: str | None = None  # the origin of the block, as an import says
    actor: str | None = None  # the command's author
    message_sid: str | None = None  # the text that a command of a review is about


@value(frozen=True, slots=True)
class BlockChange:
    """A place of an entry holds a different block than before, or none any more."""

    change_id: str
    account_sid: str
    place: Place
    recipient: str  # bare E.164
    channel_group: ChannelGroup
    block: Block | None  # the block there now
    cause: Cause
    mark: Mark
    at_ms: int  # when the cause's record was appended
    previous: bool  # whether there was a block before

    @property
    def blocked(self) -> bool:
        """Whether the place is blocked now."""
        return self.block is not None


@value(frozen=True, slots=True)
class ReplySend:
    """A confirmation for the recipient, which skips the gate."""

    reply_sid: str
    message: InboundMessage  # the message it answers
    service_sid: str | None
    body: str
    kind: OptOutType
    language: str | None
    late_reply: LateReply = LateReply.SEND  # after ``send_before_ms``

    @property
    def send_before_ms(self) -> int:
        """Until when it is presumed to be lawful; see ``send_before_ms``."""
        return send_before_ms(self.message.arrival)


@value(frozen=True, slots=True)
class OptOutNotification:
    """Informs the customer that a message matched, and what the match did (R27)."""

    message: InboundMessage
    service_sid: str | None
    match: Match
    effective: bool  # whether the list is now as the keyword asks
    reply_sent: ReplySent
    aoo_enabled: bool
    config_version: int | None
    braked: bool = False  # the reply is not sent: its brake has reached the limit (R37)


@value(frozen=True, slots=True)
class SuspectedOptOut:
    """Reports a text that asks for an end although it is not a keyword (R30)."""

    message: InboundMessage
    service_sid: str | None
    finding: Finding
    country: str | None  # the recipient's
    aoo_enabled: bool
    config_version: int | None

    @property
    def due_ms(self) -> int | None:
        """When a person must have reviewed it; None: its policy has blocked the recipient."""
        if self.finding.policy is not TierPolicy.REPORT:
            return None
        return due_ms(first_ms(self.message.arrival))


@value(frozen=True, slots=True)
class WebhookDelivery:
    """The HTTP request that informs a service's application of an inbound message (R28)."""

    message: InboundMessage
    service_sid: str | None
    webhook: Webhook
    opt_out_type: OptOutType | None  # of a match, if AOO is enabled
    finding: Finding | None = None  # of a text that is not a keyword (R30)


Event = BlockChange | ReplySend | OptOutNotification | SuspectedOptOut | WebhookDelivery
