"""Words that a slip of the finger makes of a keyword (R30)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

FEWEST_LETTERS = 4  # of a keyword and of a slip; a shorter word is too near to others
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def _neighbours() -> Mapping[str, str]:
    """The keys around each key of a QWERTY keyboard."""
    place = {key: (row, at) for row, keys in enumerate(_ROWS) for at, key in enumerate(keys)}
    return {
        key: "".join(
            other
            for other, (its_row, its_at) in place.items()
            if other != key
            and abs(its_row - row) < 2
            and -1 <= its_at - at + (its_row - row) / 2 <= 1
        )
        for key, (row, at) in place.items()
    }


_NEAR = _neighbours()


@lru_cache(maxsize=4_096)
def slips_of(keyword: str) -> frozenset[str]:
    """The words that one slip makes of a keyword: letters swapped, missed, doubled, a key beside.

    Args:
        keyword: one word, folded; where it is not of four or more letters from a to z, it has none.
    """
    if len(keyword) < FEWEST_LETTERS or not (keyword.isascii() and keyword.isalpha()):
        return frozenset()
    return frozenset(slip for slip in _slips(keyword) if len(slip) >= FEWEST_LETTERS) - {keyword}


def _slips(word: str) -> Iterator[str]:
    for at, letter in enumerate(word):
        before, after = word[:at], word[at + 1 :]
        yield before + after
        yield before + letter + letter + after
        if after:
            yield before + after[0] + letter + after[1:]
        yield from (before + near + after for near in _NEAR[letter])


def shortened(word: str) -> list[str]:
    """A word, then the word without each of its letters; two words a slip apart share a form."""
    return [word, *(word[:at] + word[at + 1 :] for at in range(len(word)))]
