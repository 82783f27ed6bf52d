"""A glance at a body before anything is looked up: most messages are no keyword of anybody's."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from processor.core.normalise import core_of, ends_of, exact, tolerant_forms


class Sieve:
    """What passes may be one of many keywords; of what does not it is certain."""

    __slots__ = ("_cores", "_ends")

    def __init__(self, *parts: Sieve) -> None:
        self._cores: set[str] = set()  # of the forms that are ASCII
        self._ends: set[str] = set()  # of all forms
        for part in parts:
            self._cores |= part._cores
            self._ends |= part._ends

    def add(self, keywords: Iterable[str]) -> None:
        """Let these through, too, in every form they may match in."""
        for keyword in keywords:
            cores, ends = _marks(keyword)
            self._cores |= cores
            self._ends |= ends

    def __len__(self) -> int:
        """How many forms it lets through."""
        return len(self._cores) + len(self._ends)

    def passes(self, body: str) -> bool:
        """Whether a body may be a keyword."""
        return core_of(body) in self._cores if body.isascii() else ends_of(body) in self._ends


@lru_cache(maxsize=16_384)
def _marks(keyword: str) -> tuple[frozenset[str], frozenset[str]]:
    forms = (exact(keyword), *tolerant_forms(keyword))
    cores = frozenset(core_of(form) for form in forms if form.isascii())
    return cores, frozenset(map(ends_of, forms))
