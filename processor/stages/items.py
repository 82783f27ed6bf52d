"""The item of one message: a keyword, an opt-out in other words, or an ordinary message."""

from __future__ import annotations

from processor.core.fold import Hit, Ordinary, Reported
from processor.core.messages import InboundMessage as Message
from processor.core.messages import SenderType, bare_number
from processor.core.policy import Match
from processor.core.services import Directory, Handling
from processor.core.suspected import TierPolicy
from processor.stages.hearing import Ear, Heard
from processor.wire import inbound_messages
from processor.wire.countries import country_of
from processor.wire.headers import arrival_of
from processor.wire.records import Record
from processor.wire.spellings import is_recipient
from schemas.inbound_message import InboundMessage


def hit_of(read: InboundMessage, directory: Directory, record: Record | None = None) -> Hit | None:
    """The match of a checked inbound message under the configuration; None for most.

    Args:
        read: the message.
        directory: the configuration.
        record: that held it; None: it comes from no topic.
    """
    if not directory.may_match(read.body):
        return None
    handling = directory.handling(read.account_sid, read.messaging_service_sid, read.to)
    found = _match(handling, read.from_, read.body, read.from_country)
    if found is None:
        return None
    match, country = found
    arrival = None if record is None else arrival_of(record)
    return Hit(inbound_messages.message_of(read, arrival), match, handling, country)


def hit_in(message: Message, directory: Directory) -> Hit | None:
    """As ``hit_of``, of a core message that the prefilter let through."""
    handling = directory.handling(message.account_sid, message.service_sid, message.sender)
    found = _match(handling, message.recipient, message.body, message.from_country)
    return Hit(message, found[0], handling, found[1]) if found else None


def _match(
    handling: Handling, recipient: str, body: str, said_country: str | None
) -> tuple[Match, str | None] | None:
    """The keyword that a body is, and the recipient's country if it was asked for."""
    policy = handling.policy
    if policy is None or not is_recipient(recipient):
        return None
    country = said_country or _country(recipient, handling)
    match = policy.match(body, country)
    return None if match is None else (match, country)


def read_of(read: InboundMessage, directory: Directory, ear: Ear) -> Hit | Reported | None:
    """The opt-out, opt-in or HELP in a checked message, in keywords or in other words; or None."""
    if hit := hit_of(read, directory):
        return hit
    if not ear.glance(directory).at([read.body]):
        return None
    return heard_of(read, directory, ear)


def heard_of(
    read: InboundMessage, directory: Directory, ear: Ear, record: Record | None = None
) -> Hit | Reported | None:
    """The opt-out in a checked message that matched nothing (R30); None for most.

    Args:
        read: the message.
        directory: the configuration.
        ear: hears it.
        record: that held it; None: it comes from no topic.
    """
    text = (
        *(read.account_sid, read.messaging_service_sid),
        *(read.from_, read.to, read.body, read.from_country),
    )
    heard = ear.heard(text, directory)
    if heard is None:
        return None
    message = inbound_messages.message_of(read, None if record is None else arrival_of(record))
    return item_of(heard, message)


def item_of(heard: Heard, message: Message) -> Hit | Reported:
    """A message with the opt-out that was heard in it."""
    finding, handling, policy, country = heard
    if finding.policy is TierPolicy.REPORT:
        return Reported(message, finding, handling, country)
    return Hit(message, policy.match_by(finding, message.body, country), handling, country)


def ordinary_of(read: InboundMessage, directory: Directory, record: Record) -> Ordinary | None:
    """A message that matches nothing, where an application wants to know of it (R28), or links."""
    handling = directory.handling(read.account_sid, read.messaging_service_sid, read.to)
    message = inbound_messages.message_of(read, arrival_of(record) if read.user_id else None)
    if handling.webhook is None and message.user_id is None:
        return None
    return Ordinary(message, handling)


def _country(recipient: str, handling: Handling) -> str | None:
    # The numbering plan is asked only where the answer matters: it costs more than all the rest.
    matters = handling.sender_type is SenderType.TOLL_FREE or (
        handling.policy is not None and handling.policy.asks_country
    )
    return country_of(bare_number(recipient)) if matters else None
