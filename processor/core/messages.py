"""What is said and who says it: messages, sends, commands, addresses, scopes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_SHORT_CODE = re.compile(r"[0-9]{3,8}")
_TOLL_FREE = re.compile(r"\+1(?:800|833|844|855|866|877|888)[0-9]{7}")


class OptOutType(StrEnum):
    """What a keyword asks for, and the value of Twilio's ``OptOutType``."""

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
    """Channels that share one block list: SMS, MMS and RCS are one, WhatsApp is another (R21)."""

    SMS = "sms"
    WHATSAPP = "whatsapp"


class Scope(StrEnum):
    """From whom a block keeps messages away: an account, a service or one sender (R21)."""

    ACCOUNT = "account"
    SERVICE = "service"
    SENDER = "sender"


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a record came, by the broker's clock, ms since 1970 UTC (R41)."""

    appended_ms: int  # of this record
    first_ms: int | None = None  # of the original, where this one was sent on or redriven


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """A message from a recipient to one of our senders."""

    message_sid: str
    account_sid: str
    service_sid: str | None  # as the event names it; R1 resolves it through the pool otherwise
    recipient: str  # the handset's address with its channel prefix: the event's `from`
    sender: str  # our address, with its channel prefix: the event's `to`
    body: str
    from_country: str | None  # ISO 3166-1 alpha-2, where the carrier told it
    num_media: int
    received_at_ms: int  # by the carrier's clock
    arrival: Arrival


@dataclass(frozen=True, slots=True)
class OutboundSend:
    """What the gate needs to know of a message that is about to be sent."""

    message_sid: str
    account_sid: str
    service_sid: str | None
    sender: str | None  # not yet chosen where only a service is named
    recipient: str


@dataclass(frozen=True, slots=True)
class ConsentCommand:
    """An operator's or an application's change to the block list (R29)."""

    command_id: str
    account_sid: str
    scope: Scope
    service_sid: str | None
    sender: str | None
    recipient: str  # bare E.164
    channel_group: ChannelGroup
    blocked: bool
    source: str  # what it comes from: an API, an import, …
    reason: str | None
    claimed_ms: int  # when it was asked for, as its writer says
    actor: str | None = None  # who asked for it
    claimed_source: str | None = None  # what an import says that the block came from
    arrival: Arrival | None = None  # None: not written yet
    redrives: int = 0  # how often it came back from the dead letters


@dataclass(frozen=True, slots=True)
class UnreadStop:
    """A STOP that cannot be decided on; it blocks all the same, until a person has looked."""

    id: str  # made of the record's place
    account_sid: str
    recipient: str  # bare E.164
    channel_group: ChannelGroup
    sender: str | None  # where it can be read
    arrival: Arrival


def bare_number(recipient: str) -> str:
    """The recipient's E.164 number without its channel prefix: the key of every topic."""
    return recipient.rpartition(":")[2]


def channel_group_of(address: str) -> ChannelGroup:
    """Which block list an address belongs to, told by its prefix."""
    return ChannelGroup.WHATSAPP if address.startswith("whatsapp:") else ChannelGroup.SMS


def list_key(recipient: str, group: ChannelGroup) -> str:
    """A recipient in a channel group: the bare number, ``whatsapp:`` before it for WhatsApp."""
    number = bare_number(recipient)
    return f"whatsapp:{number}" if group is ChannelGroup.WHATSAPP else number


def entry_key(account_sid: str, list_key: str) -> str:
    """The name of an entry: one recipient of one account. An account's sid holds no ``/``."""
    return f"{account_sid}/{list_key}"


def account_of(entry_key: str) -> str:
    """Whose entry it is."""
    return entry_key.rpartition("/")[0]


def list_key_of(entry_key: str) -> str:
    """Which recipient an entry is about."""
    return entry_key.rpartition("/")[2]


def number_of(entry_key: str) -> str:
    """The bare number of an entry's recipient, by which it is spread over partitions."""
    return bare_number(list_key_of(entry_key))


def sender_type_of(address: str) -> SenderType:
    """The type of a sender that no pool entry describes, read off its address (R2)."""
    if address.startswith("whatsapp:"):
        return SenderType.WHATSAPP
    if address.startswith("rcs:"):
        return SenderType.RCS
    if _SHORT_CODE.fullmatch(address):
        return SenderType.SHORT_CODE
    if _TOLL_FREE.fullmatch(address):
        return SenderType.TOLL_FREE
    return SenderType.LONG_CODE if address.startswith("+") else SenderType.ALPHANUMERIC
