"""How many records a lane takes at once."""

from __future__ import annotations

_LONG_S = 1.0  # a quarter of what a commit is given
_SHORT_S = 0.5
_FEWEST = 50


class BatchSize:
    """Halves after a batch that took long or failed at its deadline; otherwise doubles.

    On a busy machine, or after a long outage, a full batch may miss its deadline. Retried at the
    same size, it would miss the deadline for ever.

    Args:
        most: records.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.now = most

    def took(self, seconds: float) -> None:
        """A batch took so long, whether it succeeded or failed."""
        if seconds > _LONG_S:
            self.now = min(self.now, max(_FEWEST, self.now // 2))
        elif seconds < _SHORT_S:
            self.now = min(self._most, 2 * self.now)
