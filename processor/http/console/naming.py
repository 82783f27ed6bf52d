"""Find services by typed text: a sid, a name, or a part of either."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from processor.http.auth import Caller
from processor.http.backend import Backend
from schemas.messaging_service import MessagingService

_OFFERED = 50
_NAMED = 5


class Unclear(Exception):
    """The typed text matches no service, or several."""


def visible(backend: Backend, caller: Caller) -> Sequence[MessagingService]:
    """List the services that the caller may see, by name, without configuration."""
    return services_of(backend, caller.account_sid)


def services_of(backend: Backend, account_sid: str | None) -> Sequence[MessagingService]:
    """List the services of an account, or of all if None, by name, without configuration."""
    return backend.configuration.services.by_name(account_sid)


def matching(services: Iterable[MessagingService], text: str) -> Iterator[MessagingService]:
    """Find services whose name or sid contains the text."""
    part = text.strip().casefold()
    return (one for one in services if part in _name(one) or part in one.sid.casefold())


def options(services: Sequence[MessagingService], text: str = "") -> list[tuple[str, str]]:
    """Make the suggestions for a field, each with a label; as many as a person can read."""
    having = Counter(map(_name, services))
    return [
        (one.sid, one.friendly_name) if having[_name(one)] > 1 else (one.friendly_name, one.sid)
        for one in islice(matching(services, text), _OFFERED)
    ]


def as_typed(services: Iterable[MessagingService], service: MessagingService) -> str:
    """Make the text that names a service: its name if unique, else its sid."""
    name = _name(service)
    alike = sum(_name(one) == name for one in services)
    return service.friendly_name if alike == 1 else service.sid


def the_one(services: Sequence[MessagingService], text: str) -> MessagingService:
    """Find the one service that the typed text means.

    Raises:
        Unclear: the text matches no service, or several.
    """
    part, name = text.strip(), text.strip().casefold()
    for meant in (
        (one for one in services if one.sid == part),
        (one for one in services if _name(one) == name),
        matching(services, text),
    ):
        found = list(meant)
        if len(found) == 1:
            return found[0]
        if found:
            some = ", ".join(f"{one.friendly_name} ({one.sid})" for one in found[:_NAMED])
            more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            raise Unclear(f"“{part}” may be {some}{more}. Name one by its sid.")
    raise Unclear(f"No service has “{part}” in its name or sid.")


def _name(service: MessagingService) -> str:
    return service.friendly_name.casefold()
