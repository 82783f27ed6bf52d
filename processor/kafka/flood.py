"""When so much is refused that the records are not what is wrong."""

from __future__ import annotations

from processor.errors import TooManyRefused


class Flood:
    """The share of the last records of a lane that were refused.

    Args:
        limit: how many records are looked back on; 0: a flood is let through.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._read = 0.0
        self._refused = 0.0

    def check(self, read: int, refused: int) -> None:
        """Refuse to go on with a batch.

        Raises:
            TooManyRefused: with it, more than half of the last ``limit`` records are refused.
        """
        read_all, refused_all = self._read + read, self._refused + refused
        if self._limit and refused_all > max(self._limit, read_all) / 2:
            raise TooManyRefused(
                f"more than half of the last {self._limit:,} records were refused as the log says:"
                " mend their producer, or raise OPTOUT_DEAD_LETTER_LIMIT (0: none) to let them go"
            )

    def add(self, read: int, refused: int) -> None:
        """Count a batch that was committed; what lies further back than the limit counts less."""
        self._read += read
        self._refused += refused
        if self._read > self._limit > 0:
            self._refused *= self._limit / self._read
            self._read = self._limit
