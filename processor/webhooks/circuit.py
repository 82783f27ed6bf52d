"""An endpoint's circuit breaker: consecutive failures pause it, then a single request probes it."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class CircuitRules:
    """When a circuit opens, and for how long."""

    failures: int  # consecutive
    pause_s: float


@dataclass(frozen=True, slots=True)
class Circuit:
    """Closed while ``open_until_s`` is None; otherwise open until then, and later half-open."""

    failures: int = 0  # consecutive
    open_until_s: float | None = None
    probing: bool = False

    def lets_through(self, now_s: float) -> bool:
        """Whether a request may be made now; report it with ``begun``, then with its outcome."""
        return self.open_until_s is None or (now_s >= self.open_until_s and not self.probing)

    def begun(self) -> Circuit:
        """A request begins."""
        return self if self.open_until_s is None else replace(self, probing=True)

    def succeeded(self) -> Circuit:
        """A request was answered: close the circuit, whenever the request began."""
        return Circuit()

    def failed(self, now_s: float, rules: CircuitRules) -> Circuit:
        """A request failed; requests from before the circuit opened do not keep it open longer."""
        failures = self.failures + 1
        if self.open_until_s is None and failures < rules.failures:
            return replace(self, failures=failures)
        if self.open_until_s is not None and not self.probing:
            return replace(self, failures=failures)
        return Circuit(failures, open_until_s=now_s + rules.pause_s)

    def given_up(self) -> Circuit:
        """We cut a request off ourselves, so its outcome is unknown."""
        return replace(self, probing=False)
