"""The order of events, by the broker's clock alone (R19, R23, R41)."""

from __future__ import annotations

from processor.core.blocks import OF_MESSAGES, Source
from processor.core.messages import Arrival

_LATE_MS = 3_600_000  # a carrier's time counts only if this much earlier: clocks differ
_BROKERS_DIFFER_MS = 1_000  # messages and commands may be appended by different brokers


def said_ms(arrival: Arrival, carrier_ms: int | None = None) -> int | None:
    """When a delayed message or command was originally sent; None if it was not delayed.

    Args:
        arrival: of its record.
        carrier_ms: when the carrier received it, by the carrier's clock.
    """
    first_ms = arrival.appended_ms
    if arrival.first_ms is not None:
        first_ms = min(first_ms, arrival.first_ms)  # the header may be wrong
    if carrier_ms is not None and carrier_ms < first_ms - _LATE_MS:
        first_ms = carrier_ms
    return first_ms if first_ms < arrival.appended_ms else None


def first_ms(arrival: Arrival) -> int:
    """When a message was first appended, before it was sent on or redriven."""
    said = said_ms(arrival)
    return arrival.appended_ms if said is None else said


def blocked_ms(arrival: Arrival) -> int:
    """When a cause of a block counts as appended.

    A record that came by way of its person's other address keeps its place in time (R32): an
    opt-in that came behind it on the same way lifts it.
    """
    return first_ms(arrival) if arrival.is_on_way else arrival.appended_ms


def lifts(source: Source, arrival: Arrival, *, said_ms: int | None, by_message: bool) -> bool:
    """Whether an opt-in lifts a cause of a block: it lifts only older causes (R19).

    Within a topic, offsets give the order, and only delayed opt-ins are compared by time. Between
    messages and commands, a cause must be over a second older than the opt-in (R23).

    Args:
        source: of a block on the list.
        arrival: of the opt-in's record.
        said_ms: of the opt-in, see ``said_ms``.
        by_message: the opt-in is a message, not a command.
    """
    if (source.kind in OF_MESSAGES) is by_message:
        return said_ms is None or source.last_ms <= said_ms
    return source.last_ms + _BROKERS_DIFFER_MS < (
        arrival.appended_ms if said_ms is None else said_ms
    )
