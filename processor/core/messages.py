"""The messages and the parties: sends, commands, addresses, scopes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from processor.core.addresses import subscriber_key
from processor.core.values import value

if TYPE_CHECKING:
    from processor.core.links import Way

_SHORT_CODE = re.compile(r"[0-9]{3,8}")
_TOLL_FREE = re.compile(r"\+1(?:800|833|844|855|866|877|888)[0-9]{7}")


class OptOutType(StrEnum):
    """The opt-out type that a keyword asks for; the value of Twilio's ``OptOutType``."""

    STOP = "STOP"
    START = "START"
    HELP = "HELP"


class SenderType(StrEnum):
    """The kinds of sender whose opt-out behaviour differs (R2)."""

    LONG_CODE = "long_code"
    TOLL_FREE = "toll_free"
    SHORT_CODE = "short_code"
    WHATSAPP = "whatsapp"
    RCS = "rcs"
    ALPHANUMERIC = "alphanumeric"


class ChannelGroup(StrEnum):
    """Channels with one block list in common: SMS, MMS and RCS, or WhatsApp alone (R21)."""

    SMS = "sms"
    WHATSAPP = "whatsapp"


class Scope(StrEnum):
    """The breadth of a block: it stops an account, a service or one sender (R21)."""

    ACCOUNT = "account"
    SERVICE = "service"
    SENDER = "sender"


@value(frozen=True, slots=True)
class Arrival:
    """When a record arrived, by the broker's clock, ms since 1970 UTC (R41)."""

    appended_ms: int  # of this record
    first_ms: int | None = None  # of the original, if this is a copy or was redriven
    is_on_way: bool = False  # a copy that a lane sent on to the other address of its person


@value(frozen=True, slots=True)
class InboundMessage:
    """A message from a recipient to one of our senders."""

    message_sid: str
    account_sid: str
    service_sid: str | None  # as the event names it, else found through the pool (R1)
    recipient: str  # the handset's address with its channel prefix: the event's `from`
    sender: str  # our address, with its channel prefix: the event's `to`
    body: str
    from_country: str | None  # ISO 3166-1 alpha-2, if the carrier reported it
    num_media: int
    received_at_ms: int  # by the carrier's clock
    arrival: Arrival
    carrier_replied: bool = False  # the carrier acted on it and answered it itself (R42)
    user_id: str | None = None  # of the same person, where the recipient is a number (R32)
    is_linked: bool = False  # the entries of both say so already
    way: Way | None = None  # how it came to the lane, if a lane sent it on (R32)

    @property
    def person(self) -> str:
        """The address whose entry has the recipient's blocks."""
        return f"whatsapp:{self.way.at}" if self.way else self.recipient


@dataclass(frozen=True, slots=True)
class OutboundSend:
    """A message that is about to be sent, as far as the gate needs to know it."""

    message_sid: str
    account_sid: str
    service_sid: str | None
    sender: str | None  # None while only a service is named
    recipient: str


@dataclass(frozen=True, slots=True)
class ConsentCommand:
    """An operator's or an application's change to the block list (R29)."""

    command_id: str
    account_sid: str
    scope: Scope
    service_sid: str | None
    sender: str | None
    recipient: str  # subscriber key
    channel_group: ChannelGroup
    blocked: bool
    source: str  # its origin: an API, an import, …
    reason: str | None
    claimed_ms: int  # when the change was requested, as its writer says
    actor: str | None = None  # the person or program that requested it
    claimed_source: str | None = None  # the origin of the block, as an import says
    message_sid: str | None = None  # the recipient's text that a review is about
    arrival: Arrival | None = None  # None: not written yet
    redrives: int = 0  # how often it came back from the dead letters
    way: Way | None = None  # how it came to the lane, if a lane sent it on (R32)

    @property
    def person(self) -> str:
        """The subscriber key of the entry that it changes."""
        return self.way.at if self.way else self.recipient


@dataclass(frozen=True, slots=True)
class LinkCommand:
    """Says that a WhatsApp user id and a number are one person's, to an account (R32)."""

    command_id: str
    account_sid: str
    user_id: str
    number: str  # subscriber key
    source: str  # its origin: an API, a provider, …
    reason: str | None
    claimed_ms: int  # when it was requested, as its writer says
    actor: str | None = None
    arrival: Arrival | None = None  # None: not written yet
    redrives: int = 0
    way: Way | None = None

    @property
    def person(self) -> str:
        """The subscriber key of the entry that it is about now."""
        return self.way.at if self.way else self.user_id


@dataclass(frozen=True, slots=True)
class MoveCommand:
    """Says that a person on WhatsApp left an address for another: the blocks move along (R32).

    The old address stays blocked; nothing links the two, as a number may get another owner.
    """

    command_id: str
    account_sid: str
    recipient: str  # subscriber key of the old address
    to: str  # subscriber key of the new one
    source: str  # its origin: a provider
    reason: str | None
    claimed_ms: int  # when it was requested, as its writer says
    actor: str | None = None
    arrival: Arrival | None = None  # None: not written yet
    redrives: int = 0
    way: Way | None = None

    @property
    def person(self) -> str:
        """The subscriber key of the entry that it is about now."""
        return self.way.at if self.way else self.recipient


PersonCommand = LinkCommand | MoveCommand


@dataclass(frozen=True, slots=True)
class UnreadStop:
    """A STOP that cannot be decided on; it blocks anyway, until a person has looked at it."""

    id: str  # derived from the record's place
    account_sid: str
    recipient: str  # subscriber key
    channel_group: ChannelGroup
    sender: str | None  # if it can be read
    arrival: Arrival
    way: Way | None = None  # how it came to the lane, if a lane sent it on (R32)

    @property
    def person(self) -> str:
        """The subscriber key of the entry that it changes."""
        return self.way.at if self.way else self.recipient


def bare_number(address: str) -> str:
    """An address without its channel prefix: a number in E.164, or a user id."""
    return address if address[:1] == "+" else address.rpartition(":")[2]


def channel_group_of(address: str) -> ChannelGroup:
    """The block list that an address belongs to, by the address's prefix."""
    return ChannelGroup.WHATSAPP if address.startswith("whatsapp:") else ChannelGroup.SMS


def groups_of(subscriber_key: str) -> tuple[ChannelGroup, ...]:
    """The block lists that may hold a subscriber: a user id is known on WhatsApp alone (R31)."""
    return tuple(ChannelGroup) if subscriber_key[0] == "+" else (ChannelGroup.WHATSAPP,)


def list_key(recipient: str, group: ChannelGroup) -> str:
    """A recipient in a channel group: the subscriber key, after ``whatsapp:`` for WhatsApp."""
    key = subscriber_key(recipient)
    return f"whatsapp:{key}" if group is ChannelGroup.WHATSAPP else key


def entry_key(account_sid: str, list_key: str) -> str:
    """The name of an entry: one recipient of one account. An account's sid contains no ``/``."""
    return f"{account_sid}/{list_key}"


def entry_of(account_sid: str, address: str) -> str:
    """The name of the entry of a handset's address, with or without a channel prefix."""
    # A number without a prefix that is not folded (R32) is its list key: so are nearly all.
    if address[:1] == "+" and address[1:2] != "5":
        return f"{account_sid}/{address}"
    return entry_key(account_sid, list_key(address, channel_group_of(address)))


def account_of(entry_key: str) -> str:
    """The account of an entry."""
    return entry_key.rpartition("/")[0]


def list_key_of(entry_key: str) -> str:
    """The recipient of an entry."""
    return entry_key.rpartition("/")[2]


def subscriber_of(entry_key: str) -> str:
    """The subscriber key of an entry's recipient, which determines its partition."""
    return bare_number(list_key_of(entry_key))


@lru_cache(4_096)  # few senders get most messages
def sender_type_of(address: str) -> SenderType:
    """The type of a sender outside every pool, read from its address (R2)."""
    if address.startswith("whatsapp:"):
        return SenderType.WHATSAPP
    if address.startswith("rcs:"):
        return SenderType.RCS
    if _SHORT_CODE.fullmatch(address):
        return SenderType.SHORT_CODE
    if _TOLL_FREE.fullmatch(address):
        return SenderType.TOLL_FREE
    return SenderType.LONG_CODE if address.startswith("+") else SenderType.ALPHANUMERIC
