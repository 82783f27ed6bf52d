"""Carriers as the console shows them: the state of each over all processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from processor.http.backend import Backend
from processor.statistics.carrier_figures import ErrorSeen
from processor.statistics.carrier_history import PartNow
from schemas.carrier import Carrier

_TO_MEND = ("closed", "paused", "absent")


@dataclass(frozen=True, slots=True)
class CarrierNow:
    """A carrier as the console shows it."""

    carrier: Carrier
    inbound: PartNow
    outbound: PartNow

    @property
    def states(self) -> Sequence[str]:
        """Everything unusual about it, the worst first; empty if it is well."""
        parts = self.inbound, self.outbound
        found = {
            "closed": any(one.closed for one in parts),
            "paused": bool(self.outbound.paused),
            "absent": not any(one.processes for one in parts),
            "no_routes": bool(self.outbound.processes and not self.inbound.processes),
            "no_worker": bool(self.inbound.processes and not self.outbound.processes),
            "at_limit": bool(self.outbound.at_limit),
        }
        return [name for name, is_so in found.items() if is_so]

    @property
    def needs_a_person(self) -> bool:
        """Whether it hands nothing over, or takes nothing."""
        return any(one in _TO_MEND for one in self.states)

    @property
    def closed(self) -> Sequence[str]:
        """Secrets that some process cannot open."""
        return sorted({*self.inbound.closed, *self.outbound.closed})

    @property
    def errors(self) -> Sequence[ErrorSeen]:
        """The last errors of both parts, newest first."""
        return sorted([*self.inbound.errors, *self.outbound.errors], key=lambda one: -one.at_ms)


def carriers_of(backend: Backend) -> list[CarrierNow]:
    """Every carrier by name."""
    return [
        carrier_now(backend, one)
        for _, one in sorted(backend.configuration.carriers.stored().items())
    ]


def carrier_now(backend: Backend, carrier: Carrier) -> CarrierNow:
    """A carrier as its processes report it."""
    figures = backend.carrier_figures
    now_ms = figures.clock_ms()
    inbound, outbound = (
        figures.history.of(carrier.name, part, now_ms) for part in ("inbound", "outbound")
    )
    return CarrierNow(carrier, inbound, outbound)
