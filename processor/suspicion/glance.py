"""A cheap look at many texts: most need no assessment (R30)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from processor.suspicion.keywords import forms_of
from processor.suspicion.searching import search_for
from processor.suspicion.stems import SEPARATOR, batch, folded, is_spaceless, patterns_of, stems

_SEPARATOR = SEPARATOR.encode()
_NEAR = 24  # bytes between the beginnings of two weak stems that pick a text together


@dataclass(frozen=True, slots=True)
class _Kind:
    """The meaning of a pattern that was found."""

    strong: bool
    exact: tuple[str, ...] = ()  # the text must have one as it is: folding leaves too little


class Glance:
    """Finds the texts of a batch that ``assess`` may find something in, and few others.

    Args:
        keywords: all STOP keywords in force of any service.
    """

    def __init__(self, keywords: Iterable[str]) -> None:
        kinds = dict(_kinds_of_stems())
        forms = forms_of(frozenset(keywords))
        certain = _Kind(strong=True)
        _add(kinds, ((pattern, certain) for pattern in forms.parts))
        _add(kinds, ((b" %b " % word, certain) for word in forms.words))
        _add(kinds, ((folded(form), _Kind(True, (form,))) for form in forms.exact))
        self._kinds = tuple(kinds.values())
        self._search = search_for(list(kinds))

    def at(self, bodies: Sequence[str]) -> Sequence[int]:
        """The indexes of the texts to assess, rising; all others certainly come to nothing."""
        data = batch(bodies)
        if data.count(_SEPARATOR) != max(len(bodies) - 1, 0):  # one of them has a separator within
            return [at for at, body in enumerate(bodies) if body and self.names(body)]
        return list(self._named(data, bodies.__getitem__))

    def at_joined(self, bodies: bytes) -> Sequence[int]:
        """As ``at``, of texts in UTF-8: each between spaces, and ``SEPARATOR`` between two."""

        def body_at(place: int) -> str:
            return bodies.split(_SEPARATOR)[place].decode()

        return list(self._named(bodies, body_at))

    def names(self, body: str) -> bool:
        """Whether a single text is to be assessed."""
        data = batch([body]).replace(_SEPARATOR, b" ")
        return next(self._named(data, lambda _: body), None) is not None

    def _named(self, data: bytes, body_at: Callable[[int], str]) -> Iterator[int]:
        """The places of texts between separators with a strong stem, or two weak stems."""
        kinds = self._kinds
        named = weak = seen = at = -1  # the text named last; the weak stem seen last, and where
        for pattern, start, place in self._search.find(data):
            if place != at:
                at, weak = place, -1
            kind = kinds[pattern]
            if place == named or (kind.exact and not _is_in(body_at(place), kind.exact)):
                continue
            near = weak >= 0 and weak != pattern and 0 < start - seen <= _NEAR
            if near or kind.strong:
                named = place
                yield place
            weak, seen = pattern, start


@lru_cache(maxsize=1)
def _kinds_of_stems() -> dict[bytes, _Kind]:
    known = stems()
    kinds: dict[bytes, _Kind] = {}
    for those, strong in ((known.weak, False), (known.strong, True)):
        for stem in those:
            kind = _Kind(strong, (stem,) if is_spaceless(stem) else ())
            _add(kinds, ((pattern, kind) for pattern in patterns_of(stem)))
    return kinds


def _add(kinds: dict[bytes, _Kind], more: Iterable[tuple[bytes, _Kind]]) -> None:
    """Add patterns; of two that fold to the same bytes, a text needs to have either."""
    for pattern, kind in more:
        if known := kinds.get(pattern):
            exact = (*known.exact, *kind.exact) if known.exact and kind.exact else ()
            kind = _Kind(known.strong or kind.strong, exact)
        kinds[pattern] = kind


def _is_in(body: str, some: tuple[str, ...]) -> bool:
    return any(each in body for each in some)
