"""A cheap check of a body before any look-up: most messages are not a keyword of any service."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from processor.core.normalise import core_of, ends_of, exact, tolerant_forms


class Prefilter:
    """Prefilter with no false negatives: ``False`` means that a body is certainly not a keyword."""

    __slots__ = ("_cores", "_ends")

    def __init__(self, *parts: Prefilter) -> None:
        # Keywords by form. Plain dictionaries: reading a Counter takes twice as long.
        self._cores: dict[str, int] = {}  # of the forms that are ASCII
        self._ends: dict[str, int] = {}  # of all forms
        for part in parts:
            _add(self._cores, part._cores.items())
            _add(self._ends, part._ends.items())

    def add(self, keywords: Iterable[str]) -> None:
        """Let these keywords through, too, in every form they may match in."""
        self._count(keywords, 1)

    def remove(self, keywords: Iterable[str]) -> None:
        """Undo earlier calls of ``add``, one for each keyword."""
        self._count(keywords, -1)

    def _count(self, keywords: Iterable[str], more: int) -> None:
        for keyword in keywords:
            cores, ends = _marks(keyword)
            _add(self._cores, ((form, more) for form in cores))
            _add(self._ends, ((form, more) for form in ends))

    @property
    def cores(self) -> dict[str, int]:
        """The cores of ASCII forms it lets through, see ``core_of``; not to be changed."""
        return self._cores

    def __len__(self) -> int:
        """How many forms it lets through."""
        return len(self._cores) + len(self._ends)

    def passes(self, body: str) -> bool:
        """Whether a body may be a keyword."""
        return core_of(body) in self._cores if body.isascii() else ends_of(body) in self._ends


def _add(counts: dict[str, int], more: Iterable[tuple[str, int]]) -> None:
    for form, by in more:
        counts[form] = counts.get(form, 0) + by
        if not counts[form]:
            del counts[form]


@lru_cache(maxsize=16_384)
def _marks(keyword: str) -> tuple[frozenset[str], frozenset[str]]:
    forms = (exact(keyword), *tolerant_forms(keyword))
    cores = frozenset(core_of(form) for form in forms if form.isascii())
    return cores, frozenset(map(ends_of, forms))
