"""The senders an account owns: those recorded, and those its services' pools name.

A sid is made of account and address, so that a sender that `services.yaml` put into a pool has the
sid it would have had from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b

from processor.configuration.apply import changed
from processor.configuration.edits import Edit, edit_of_number, edit_of_service
from processor.core.messages import SenderType, bare_number, sender_type_of
from processor.json_types import Json
from processor.kafka.topics.configuration_writer import Configuration
from processor.wire.countries import country_of
from schemas.messaging_service import MessagingService, PoolSender
from schemas.number import Number

_PREFIXES = {
    SenderType.LONG_CODE: "PN",
    SenderType.TOLL_FREE: "PN",
    SenderType.SHORT_CODE: "SC",
    SenderType.WHATSAPP: "XE",
    SenderType.RCS: "XE",
    SenderType.ALPHANUMERIC: "AI",
}


@lru_cache(maxsize=65_536)
def sid_of(account_sid: str, address: str, sender_type: SenderType) -> str:
    """The sid of an account's sender."""
    digest = blake2b(f"{account_sid}|{address}".encode(), digest_size=16).hexdigest()
    return _PREFIXES[sender_type] + digest


def type_of(sender: PoolSender) -> SenderType:
    """The type of a sender in a pool; see R2."""
    return SenderType(sender.type) if sender.type else sender_type_of(sender.address)


def country_at(address: str) -> str | None:
    """Where an address is, if it is a number."""
    number = bare_number(address)
    return country_of(number) if number.startswith("+") else None


def in_pool(stored: Configuration, service: MessagingService, sender: PoolSender) -> Number:
    """A sender of a service's pool: as recorded, or as far as the pool describes it."""
    recorded = stored.numbers.at(sender.address)
    if recorded and recorded.account_sid == service.account_sid:
        return recorded
    sender_type = type_of(sender)
    return Number(
        sid=sid_of(service.account_sid, sender.address, sender_type),
        account_sid=service.account_sid,
        address=sender.address,
        type=sender_type.value,
        country=sender.country or country_at(sender.address),
        friendly_name=sender.address,
        created_at=service.created_at or service.updated_at,
        updated_at=service.updated_at,
    )


def numbers_of(stored: Configuration, account_sid: str) -> dict[str, Number]:
    """Every sender of an account by its sid."""
    found = {
        number.sid: number
        for service in stored.services.of_account(account_sid)
        for number in (in_pool(stored, service.head, one) for one in service.head.senders)
    }
    return found | {number.sid: number for number in stored.numbers.of_account(account_sid)}


def owns(stored: Configuration, account_sid: str, address: str) -> bool:
    """Whether an account may send from an address."""
    recorded = stored.numbers.at(address)
    return (recorded is not None and recorded.account_sid == account_sid) or (
        stored.services.holder_of(account_sid, address) is not None
    )


def a_number(account_sid: str, address: str, **fields: Json) -> Number:
    """A sender to be recorded, with the facts that follow from its address."""
    now, sender_type = datetime.now(UTC), sender_type_of(address)
    known = {
        "sid": sid_of(account_sid, address, sender_type),
        "account_sid": account_sid,
        "address": address,
        "type": sender_type.value,
        "country": country_at(address),
        "friendly_name": address,
        "created_at": now,
        "updated_at": now,
    }
    return Number(**{**known, **fields})


def given_up(stored: Configuration, numbers: Iterable[tuple[str, str]]) -> list[Edit]:
    """The edits that take numbers away: to their records, and to the pools they are in.

    Args:
        stored: as it is now.
        numbers: the address of each, and the account that loses it.
    """
    edits = []
    left: dict[str, MessagingService] = {}  # services with less in their pools, by sid
    for address, account_sid in numbers:
        recorded = stored.numbers.at(address)
        if recorded and recorded.account_sid == account_sid:
            edits.append(edit_of_number(recorded, None))
        if holder := stored.services.holder_of(account_sid, address):
            service = left.get(holder.head.sid) or holder.whole()
            senders = [one for one in service.senders if one.address != address]
            left[service.sid] = service.model_copy(update={"senders": senders})
    for sid, service in left.items():
        if holder := stored.services.get(sid):
            before = holder.whole()
            edits.append(edit_of_service(before, changed(before, senders=service.senders)))
    return edits
