"""A cheap look at many texts: most need no assessment (R30)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from ahocorasick_rs import BytesAhoCorasick, Implementation

from processor.suspicion.keywords import forms_of
from processor.suspicion.stems import SEPARATOR, batch, patterns_of, stems

_SEPARATOR = SEPARATOR.encode()
_STRONG, _WEAK = range(2)
_NEAR = 24  # bytes between the beginnings of two weak stems that pick a text together


class Glance:
    """Finds the texts of a batch that ``assess`` may find something in, and few others.

    Args:
        keywords: all STOP keywords in force of any service.
    """

    def __init__(self, keywords: Iterable[str]) -> None:
        kinds = dict(_kinds_of_stems())
        forms = forms_of(frozenset(keywords))
        kinds.update(dict.fromkeys(forms.parts, _STRONG))
        kinds.update({b" %b " % word: _STRONG for word in forms.words})
        self._kinds = tuple(kinds.values())
        self._search = BytesAhoCorasick(kinds, implementation=Implementation.DFA)

    def at(self, bodies: Sequence[str]) -> Sequence[int]:
        """The indexes of the texts to assess, rising; all others certainly come to nothing."""
        data = batch(bodies)
        if data.count(_SEPARATOR) != max(len(bodies) - 1, 0):  # one of them has a separator within
            return [at for at, body in enumerate(bodies) if body and self.names(body)]
        return list(self._named(data))

    def names(self, body: str) -> bool:
        """Whether a single text is to be assessed."""
        return next(self._named(batch([body]).replace(_SEPARATOR, b" ")), None) is not None

    def _named(self, data: bytes) -> Iterator[int]:
        """The places of texts between separators with a strong stem, or two weak stems."""
        kinds = self._kinds
        place = counted = 0  # of separators before ``counted``
        named = weak = seen = -1  # the text named last; the weak stem seen last and its place
        for pattern, start, end in self._search.find_matches_as_indexes(data, overlapping=True):
            # Matches come by their ends, and none reaches over a separator.
            if passed := data.count(_SEPARATOR, counted, end):
                place, weak = place + passed, -1
            counted = end
            if place == named:
                continue
            near = weak >= 0 and weak != pattern and 0 < start - seen <= _NEAR
            if near or kinds[pattern] == _STRONG:
                named = place
                yield place
            weak, seen = pattern, start


@lru_cache(maxsize=1)
def _kinds_of_stems() -> dict[bytes, int]:
    known = stems()
    weak = {pattern: _WEAK for stem in known.weak for pattern in patterns_of(stem)}
    strong = {pattern: _STRONG for stem in known.strong for pattern in patterns_of(stem)}
    return weak | strong
