"""A cheap look at many texts: most need no assessment (R30)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Glance:
    """Finds the texts of a batch that ``assess`` may find something in, and few others.

    Args:
        keywords: all STOP keywords in force of any service.
    """

    def __init__(self, keywords: Iterable[str]) -> None:
        self._keywords = frozenset(keywords)

    def at(self, bodies: Sequence[str]) -> Sequence[int]:
        """The indexes of the texts to assess, rising; all others certainly come to nothing."""
        return ()
