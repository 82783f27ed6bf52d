"""A service's pool: which senders may come into it."""

from __future__ import annotations

from processor.http.backend import Backend
from processor.http.errors import ApiError, conflict, wrong_parameter
from processor.http.services import changed
from schemas.messaging_service import MessagingService, PoolSender

MAX_POOL = 400


def with_sender(
    backend: Backend, service: MessagingService, sender: PoolSender
) -> MessagingService:
    """The service with one more sender in its pool.

    Raises:
        ApiError: where it is in a pool already, another account's, or one too many.
    """
    recorded = backend.configuration.numbers.at(sender.address)
    if recorded and recorded.account_sid != service.account_sid:
        raise wrong_parameter("The number is not available: it is recorded already", 21422)
    holder = backend.configuration.services.holder_of(service.account_sid, sender.address)
    if holder and holder.head.sid == service.sid:
        raise conflict(21710, "Phone Number or Short Code is already in the Messaging Service.")
    if holder:
        raise conflict(
            21712, "Phone Number or Short Code is associated with another Messaging Service."
        )
    if len(service.senders) >= MAX_POOL:
        raise ApiError(412, 21714, f"The Messaging Service has {MAX_POOL} senders, the most")
    return changed(service, senders=[*service.senders, sender])


def without_sender(service: MessagingService, address: str) -> MessagingService:
    """The service with one sender less in its pool."""
    return changed(service, senders=[one for one in service.senders if one.address != address])
