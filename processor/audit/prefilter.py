"""Which bodies are worth a closer look: most messages are not a keyword of any service."""

from __future__ import annotations

import string
from functools import lru_cache

from processor.audit.spelling import exact, period, wide
from processor.audit.standard import BUTTONS, STANDARD, Fields

_CONTROLS = "".join(map(chr, range(32))) + "\x7f"
_SIGNS = "".join(set(string.punctuation) - set("?;")) + string.whitespace + _CONTROLS
_WITHOUT_SIGNS = str.maketrans("", "", string.punctuation + string.whitespace + _CONTROLS)
_LONGEST = 200  # characters of a body that is looked at closely


class Words:
    """The forms of any number of configurations' keywords, default handling's among them."""

    def __init__(self) -> None:
        self._exact: set[str] = set()
        self._wide: set[str] = set()
        for words, _ in STANDARD.values():
            self._add(tuple(words))
        self.add(BUTTONS)

    def add(self, config: Fields) -> None:
        """Add every keyword of a configuration."""
        overrides = (config.get("countries") or {}).values()
        languages = [config.get("standard") or {}, *(config.get("languages") or {}).values()]
        for sets in (*languages, *(one for own in overrides for one in own["languages"].values())):
            for one in sets.values():
                self._add(tuple(one["keywords"]))

    def _add(self, words: tuple[str, ...]) -> None:
        exacts, wides = _forms(words)
        self._exact |= exacts
        self._wide |= wides

    def may_be(self, body: str) -> bool:
        """Whether a body may be a keyword of one of them; long bodies are not."""
        if body.isascii():
            low = body.strip().lower()
            if low in self._exact:
                return True
            core = low.strip(_SIGNS)
            return len(core) < _LONGEST and self._has(_joined(core))
        return len(body.strip()) < _LONGEST and (
            exact(body) in self._exact or self._has(wide(body))
        )

    def _has(self, letters: str) -> bool:
        return letters in self._wide or period(letters) in self._wide


@lru_cache(16_384)
def _forms(words: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    wides = set(map(wide, words))
    return frozenset(map(exact, words)), frozenset(wides | set(map(period, wides)))


def _joined(core: str) -> str:
    return core if core.isalnum() else core.translate(_WITHOUT_SIGNS)
