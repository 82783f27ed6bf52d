"""The circuit of one endpoint: after failures in a row it is left alone, then tried by one."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class CircuitRules:
    """When a circuit opens, and for how long."""

    failures: int  # in a row
    pause_s: float


@dataclass(frozen=True, slots=True)
class Circuit:
    """Closed while ``open_until_s`` is None; then open, and from that time on tried by one."""

    failures: int = 0  # in a row
    open_until_s: float | None = None
    probing: bool = False

    def lets_through(self, now_s: float) -> bool:
        """Whether a request may be made now; who makes it says ``begun``, then how it ended."""
        return self.open_until_s is None or (now_s >= self.open_until_s and not self.probing)

    def begun(self) -> Circuit:
        """A request is being made."""
        return self if self.open_until_s is None else replace(self, probing=True)

    def succeeded(self) -> Circuit:
        """One was answered: closed, whenever that was begun."""
        return Circuit()

    def failed(self, now_s: float, rules: CircuitRules) -> Circuit:
        """One failed; those begun before it opened do not hold it open longer."""
        failures = self.failures + 1
        if self.open_until_s is None and failures < rules.failures:
            return replace(self, failures=failures)
        if self.open_until_s is not None and not self.probing:
            return replace(self, failures=failures)
        return Circuit(failures, open_until_s=now_s + rules.pause_s)

    def given_up(self) -> Circuit:
        """One was cut off by ourselves: nothing is known."""
        return replace(self, probing=False)
