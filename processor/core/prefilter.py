"""A cheap check of a body before any look-up: most messages are not a keyword of any service."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache

from processor.core.lookalikes import SCRIPTS
from processor.core.normalise import clean, exact, tolerant_forms

_ASCII_OTHERS = "".join(chr(code) for code in range(128) if not chr(code).isalnum())
_NO_OTHERS = str.maketrans("", "", _ASCII_OTHERS)
_TATWEEL = "\u0640"
_USUAL_ENDS = " .!?,"
_NEAR = 8  # characters, two of which are nearly always letters or digits


class Prefilter:
    """Prefilter with no false negatives: ``False`` means that a body is certainly not a keyword.

    Matching drops, joins and repeats, but it never changes the order of letters and digits. So the
    first two and the last two of a body are those of its keyword. In ASCII, moreover, all of them
    are those of the keyword, once or more. Most bodies fail by their first two already.
    """

    __slots__ = ("_ascii_ends", "_ends", "_firsts", "_heads", "_roots")

    def __init__(self, *parts: Prefilter) -> None:
        # Keywords by form. Plain dictionaries: reading a Counter takes twice as long.
        self._heads: dict[str, int] = {}  # the first two, of the forms that are ASCII
        self._ascii_ends: dict[str, int] = {}  # of these, too
        self._roots: dict[str, int] = {}  # of these, too
        self._firsts: dict[str, int] = {}  # the first two, of all forms
        self._ends: dict[str, int] = {}  # the first two and the last two, of all forms
        for part in parts:
            _add(self._heads, part._heads.items())
            _add(self._ascii_ends, part._ascii_ends.items())
            _add(self._roots, part._roots.items())
            _add(self._firsts, part._firsts.items())
            _add(self._ends, part._ends.items())

    def add(self, keywords: Iterable[str]) -> None:
        """Let these keywords through, too, in every form they may match in."""
        self._count(keywords, 1)

    def remove(self, keywords: Iterable[str]) -> None:
        """Undo earlier calls of ``add``, one for each keyword."""
        self._count(keywords, -1)

    def _count(self, keywords: Iterable[str], more: int) -> None:
        for keyword in keywords:
            heads, ascii_ends, roots, firsts, ends = _marks(keyword)
            _add(self._heads, ((form, more) for form in heads))
            _add(self._ascii_ends, ((form, more) for form in ascii_ends))
            _add(self._roots, ((form, more) for form in roots))
            _add(self._firsts, ((form, more) for form in firsts))
            _add(self._ends, ((form, more) for form in ends))

    @property
    def heads(self) -> dict[str, int]:
        """The first two letters or digits, in small letters, of all ASCII forms it lets through.

        An ASCII body that begins with two others is certainly not a keyword. Not to be changed.
        """
        return self._heads

    @property
    def ascii_ends(self) -> dict[str, int]:
        """The first two and the last two, of the same forms. Not to be changed."""
        return self._ascii_ends

    def __len__(self) -> int:
        """How many forms it lets through."""
        return len(self._roots) + len(self._ends)

    def passes(self, body: str) -> bool:
        """Whether a body may be a keyword."""
        if not body.isascii():
            first = _first_of(body)
            return first in self._firsts and first + _last_of(body) in self._ends
        head = body[:2].lower()
        if head.isalnum():
            if head not in self._heads:
                return False
            if body.lower() in self._roots:  # as most keywords are written
                return True
            tail = body.rstrip(_USUAL_ENDS)[-2:].lower()
            if head + tail not in self._ascii_ends and tail.isalnum():
                return False
        return self._passes_within(body)

    def _passes_within(self, body: str) -> bool:
        """Whether an ASCII body may be a keyword; other characters may be anywhere in it."""
        core = body.strip(_ASCII_OTHERS)
        first = core[:_NEAR].translate(_NO_OTHERS)[:2].lower()
        if len(first) > 1 and first not in self._heads:
            return False
        last = core[-_NEAR:].translate(_NO_OTHERS)[-2:].lower()
        if len(first) > 1 and len(last) > 1 and first + last not in self._ascii_ends:
            return False
        return root_of(core) in self._roots


def root_of(ascii_text: str) -> str:
    """The letters and digits of an ASCII text, once where they are repeated."""
    letters = ascii_text.translate(_NO_OTHERS).lower()
    return letters[: (letters + letters).find(letters, 1)] if letters else ""


def ends_of(text: str) -> str:
    """The first two and the last two letters or digits of any form of a text, without marks.

    Letters that matching may read alike are one. A text without letters and digits has no ends.
    """
    return _first_of(text) + _last_of(text)


def _first_of(text: str) -> str:
    first = ""
    for character in text:
        first += _letters(character)
        if len(first) > 1:
            break
    return first[:2]


def _last_of(text: str) -> str:
    last = ""
    for character in reversed(text):
        last = _letters(character) + last
        if len(last) > 1:
            break
    return last[-2:]


def _add(counts: dict[str, int], more: Iterable[tuple[str, int]]) -> None:
    for form, by in more:
        counts[form] = counts.get(form, 0) + by
        if not counts[form]:
            del counts[form]


@lru_cache(maxsize=16_384)
def _marks(keyword: str) -> tuple[frozenset[str], ...]:
    forms = (exact(keyword), clean(keyword), *tolerant_forms(keyword))
    roots = frozenset(root_of(form) for form in forms if form.isascii())
    # A repeated keyword of one letter has other ends.
    repeated = [text for root in roots for text in (root, root + root)]
    heads = frozenset(text[:2] for text in repeated)
    ascii_ends = frozenset(text[:2] + text[-2:] for text in repeated)
    wide = [text for form in forms for text in (form, form + form)]
    firsts, ends = frozenset(map(_first_of, wide)), frozenset(map(ends_of, wide))
    return heads, ascii_ends, roots, firsts, ends


@lru_cache(maxsize=65_536)
def _letters(character: str) -> str:
    bare = unicodedata.normalize("NFD", exact(character))
    return "".join(
        _ALIKE.get(one, one)
        for one in bare
        if unicodedata.category(one)[0] in "LN" and one != _TATWEEL
    )


def _alike() -> Mapping[str, str]:
    """One letter for all that may be read as the same: lookalikes of a letter in either case."""
    groups: dict[str, set[str]] = {}
    pairs = [("ı", "i"), ("i", "l")]
    for letters, latin in SCRIPTS.values():
        pairs += zip(map(str.casefold, letters), latin, strict=True)
    for one, other in pairs:
        group = groups.setdefault(one, {one}) | groups.setdefault(other, {other})
        groups.update(dict.fromkeys(group, group))
    return {letter: min(group) for letter, group in groups.items()}


_ALIKE = _alike()
