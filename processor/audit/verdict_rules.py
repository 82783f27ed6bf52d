"""Whether a verdict follows from blocks and configuration (R1, R21, R24)."""

from __future__ import annotations

from dataclasses import dataclass

from processor.audit.history import covers, stops
from processor.audit.services import Services, Unknown
from processor.audit.values import Send, State, Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict with its send; it may become right, or wrong, by a later change."""

    verdict: Verdict
    send: Send

    @property
    def id(self) -> str:
        """Of the send."""
        return self.send.id

    @property
    def offset(self) -> int:
        """Of the verdict."""
        return self.verdict.offset

    @property
    def at_ms(self) -> int:
        """Of the verdict."""
        return self.verdict.at_ms


def is_right(services: Services, one: Judged, state: State, config: int) -> bool:
    """Whether a verdict is what the blocks ask for.

    Args:
        services: as they were at every time.
        one: the verdict.
        state: the blocks of its recipient.
        config: how far the services were read, if the verdict does not say so.

    Raises:
        Unknown: a version of the configuration is not known.
    """
    verdict, sender = one.verdict, one.send.sender
    service = service_of(services, one, config, strictly=True)
    pool = _pool(services, one, service, config) if sender is None else set()
    senders = {place.target for place in state if place.scope == "sender"}
    every_one = bool(pool) and pool <= senders
    if verdict.refused_by is None:
        if stops(state, service, sender) or every_one:
            return False
        return sender is not None or senders == verdict.except_from
    return any(
        (block.standing.first.change_id, place.scope)
        == (verdict.refused_by.change_id, verdict.refused_by.scope)
        and (covers(place, service, sender) or (every_one and place.scope == "sender"))
        for place, block in state.items()
    )


def service_of(
    services: Services, one: Judged, config: int, *, strictly: bool = False
) -> str | None:
    """Find the service that a send is judged by (R1).

    Raises:
        Unknown: the configuration is not known, and it is asked for strictly.
    """
    its, verdict = one.send, one.verdict
    if its.service is not None:
        return its.service
    at = config if verdict.config is None else verdict.config
    try:
        return services.sid_of(its.account, None, its.sender, at)
    except Unknown:
        if strictly:
            raise
        return verdict.service


def _pool(services: Services, one: Judged, service: str | None, config: int) -> set[str]:
    its = one.send
    at = config if one.verdict.config is None else one.verdict.config
    return services.pool(its.account, service, at, whatsapp="/whatsapp:" in its.key)
