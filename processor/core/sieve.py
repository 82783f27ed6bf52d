"""A glance at a body before anything is looked up: most messages are no keyword of anybody's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from processor.core.normalise import core_of, ends_of, exact, tolerant_forms


class Sieve:
    """Prefilter with no false negatives: ``False`` means that a body is certainly not a keyword."""

    __slots__ = ("_cores", "_ends")

    def __init__(self, *parts: Sieve) -> None:
        # How many keywords have a form.
        self._cores: Counter[str] = Counter()  # of the forms that are ASCII
        self._ends: Counter[str] = Counter()  # of all forms
        for part in parts:
            self._cores.update(part._cores)
            self._ends.update(part._ends)

    def add(self, keywords: Iterable[str]) -> None:
        """Let these through, too, in every form they may match in."""
        for keyword in keywords:
            cores, ends = _marks(keyword)
            self._cores.update(cores)
            self._ends.update(ends)

    def remove(self, keywords: Iterable[str]) -> None:
        """Undo as many earlier ``add``."""
        for keyword in keywords:
            cores, ends = _marks(keyword)
            _subtract(self._cores, cores)
            _subtract(self._ends, ends)

    def __len__(self) -> int:
        """How many forms it lets through."""
        return len(self._cores) + len(self._ends)

    def passes(self, body: str) -> bool:
        """Whether a body may be a keyword."""
        return core_of(body) in self._cores if body.isascii() else ends_of(body) in self._ends


def _subtract(counts: Counter[str], forms: Iterable[str]) -> None:
    for form in forms:
        counts[form] -= 1
        if not counts[form]:
            del counts[form]


@lru_cache(maxsize=16_384)
def _marks(keyword: str) -> tuple[frozenset[str], frozenset[str]]:
    forms = (exact(keyword), *tolerant_forms(keyword))
    cores = frozenset(core_of(form) for form in forms if form.isascii())
    return cores, frozenset(map(ends_of, forms))
