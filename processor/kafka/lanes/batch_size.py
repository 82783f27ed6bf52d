"""How many records a lane takes at once."""

from __future__ import annotations

_LONG_S = 1.0  # a quarter of what a commit is given
_SHORT_S = 0.5
_FEWEST = 50


class BatchSize:
    """Half as many after a batch that took long, or failed at its deadline; else twice as many.

    On a busy machine, or after a long outage, a full batch may not be done before its deadline. It
    would never be, if it were tried again as it is.

    Args:
        most: records.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.now = most

    def took(self, seconds: float) -> None:
        """A batch took so long, whatever came of it."""
        if seconds > _LONG_S:
            self.now = min(self.now, max(_FEWEST, self.now // 2))
        elif seconds < _SHORT_S:
            self.now = min(self._most, 2 * self.now)
