"""A service's pool of senders: adding, removing, and the rules for both."""

from __future__ import annotations

from processor.configuration.apply import changed
from processor.http.auth import Caller
from processor.http.backend import Backend
from processor.http.errors import ApiError, conflict, wrong_parameter
from processor.kafka.topics.holdings import NUMBER_TAKEN, can_be_owned
from schemas.messaging_service import MessagingService, PoolSender

MAX_POOL = 400


def with_sender(
    backend: Backend, caller: Caller, service: MessagingService, sender: PoolSender
) -> MessagingService:
    """Add a sender to the pool; return the changed service.

    Raises:
        ApiError: it is in a pool already, belongs to another account or is not granted, or the
            pool is full.
    """
    check_available(backend, caller, service.account_sid, sender.address)
    holder = backend.configuration.services.holder_of(service.account_sid, sender.address)
    if holder and holder.head.sid == service.sid:
        raise conflict(21710, "Phone Number or Short Code is already in the Messaging Service.")
    if holder:
        raise conflict(
            21712,
            "Phone Number or Short Code is associated with another Messaging Service. Remove it"
            " there first.",
        )
    if len(service.senders) >= MAX_POOL:
        raise ApiError(
            412, 21714, f"The Messaging Service has {MAX_POOL} senders, which is the most"
        )
    return changed(service, senders=[*service.senders, sender])


def without_sender(service: MessagingService, address: str) -> MessagingService:
    """Remove a sender from the pool; return the changed service."""
    return changed(service, senders=[one for one in service.senders if one.address != address])


def check_available(backend: Backend, caller: Caller, account_sid: str, address: str) -> None:
    """Check that an account may have a sender, in its records or in a pool.

    Raises:
        ApiError: 21422, if it belongs to another account, which is not named, or must be granted.
    """
    stored = backend.configuration
    owners = stored.holdings.owners_of(address)
    if owners and account_sid not in owners:
        raise wrong_parameter("The number is not available: another account has it", NUMBER_TAKEN)
    if caller.operator or backend.settings.api_numbers == "any" or not can_be_owned(address):
        return
    recorded = stored.numbers.at(address)
    if recorded is None or not recorded.granted:
        raise wrong_parameter(
            "The number is not available: the operator must grant it first", NUMBER_TAKEN
        )
