"""Search many texts for thousands of stems at once (R30).

Compiled code searches (``_search.c``), where a compiler was found when the package was built.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ahocorasick_rs import BytesAhoCorasick, Implementation

from processor.suspicion.stems import CURLY, LEAD, SEPARATOR, TABLE, folded_bytes

try:
    from processor.suspicion import _search as native
except ImportError:
    native = None  # type: ignore[assignment]

Match = tuple[int, int, int]  # a pattern, where it starts in the folded texts, the text's place
_SEPARATOR = SEPARATOR.encode()


class Search(Protocol):
    """Finds patterns in texts."""

    def find(self, texts: bytes, /) -> Sequence[Match]:
        """Every match, also those that overlap, in the order of their ends, then starts.

        Args:
            texts: UTF-8, with ``SEPARATOR`` between two; they are folded here.
        """
        ...


def is_native() -> bool:
    """Whether our compiled code searches."""
    return native is not None


def search_for(patterns: Sequence[bytes]) -> Search:
    """Prepare a search; the patterns are folded, and none has a separator."""
    return (LibrarySearch if native is None else CompiledSearch)(patterns)


class CompiledSearch:
    """A search by our compiled code, which folds as it goes; see ``Search``."""

    def __init__(self, patterns: Sequence[bytes]) -> None:
        self._search = native.Search(tuple(patterns), TABLE, ord(LEAD), ord(SEPARATOR))

    def find(self, texts: bytes, /) -> Sequence[Match]:
        """See ``Search``."""
        return self._search.find(texts.replace(CURLY, b"'"))


class LibrarySearch:
    """A search by a library; see ``Search``."""

    def __init__(self, patterns: Sequence[bytes]) -> None:
        self._search = BytesAhoCorasick(patterns, implementation=Implementation.DFA)

    def find(self, texts: bytes, /) -> Sequence[Match]:
        """See ``Search``."""
        data = folded_bytes(texts)
        found: list[Match] = []
        place = counted = 0  # of separators before ``counted``
        for pattern, start, end in self._search.find_matches_as_indexes(data, overlapping=True):
            place, counted = place + data.count(_SEPARATOR, counted, end), end
            found.append((pattern, start, place))
        return found
