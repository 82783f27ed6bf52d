"""Choose the stems by which texts are picked for assessment (R30).

Candidates are beginnings of words, pairs of words, and pairs to fours of Han and kana, from the
requests in `data/` and from the lexicons. A rare stem in ordinary messages is strong, another weak.
The lexicons' stems are all taken; of the requests' own, as few as pick every request.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from processor.suspicion.lexicon import OTHER, UNIVERSAL, documents, lexicons, tagged
from processor.suspicion.reading import MARKS, capped, tokens_of
from processor.suspicion.searching import search_for
from processor.suspicion.stems import Stems, batch, folded, folded_bytes, is_spaceless, patterns_of
from tests.suspicion import always
from tests.suspicion.requests import written_out
from tests.suspicion.texts import Text

_SPACELESS = re.compile("[\u3005-\u30ff\u3400-\u9fff]+")
_LETTERS = f"[^\\W\\d_](?:[^\\W\\d_]|[{MARKS}])*"  # vowel signs are not letters to `re`
_WORD = re.compile(f"{_LETTERS}(?:['’]{_LETTERS})*")
_SHORTEST, _LONGEST = 4, 7  # letters of a beginning
_FIRM = frozenset(
    ("stop", "unsub", "remove", "cancel", "enough", "away", "revoke", "consent", "legal", "nomore")
)
_LOOSE = frozenset(("message", "contact", "list"))  # each says little alone
_SAYING = _FIRM | {"negation", "off"}
_BESIDE = (
    _FIRM
    | _LOOSE
    | {"negation", "me", "number", "off", "more", "want", "this", "all", "polite", "func"}
)
_MOST_STRONG = 0.0006  # of ordinary messages that a strong stem may be in
_NEVER = 0.0001
_MOST_WEAK = 0.004
_ENOUGH = 2  # points of a picked text: a strong stem has two, a weak stem one
_SMOOTHING = 0.7
_HARD = 0.05  # the weight of a share among texts that were chosen to be hard


def made_of(texts: Sequence[Text]) -> Stems:
    """The stems by labelled texts; the same texts give the same stems."""
    shares = _Shares(
        _joined(text for text in texts if text.label == "not" and not text.chosen),
        _joined(text for text in texts if text.label == "not" and text.language != "en"),
    )
    firm, loose = _of_lexicons(_FIRM), _of_lexicons(_FIRM | _LOOSE)
    strong = {*always.STRONG, *(stem for stem in firm if shares.of(stem) <= _MOST_STRONG)}
    strong |= {stem for stem in loose if len(stem) > _LONGEST and shares.of(stem) <= _NEVER}
    weak = {*always.WEAK, *(stem for stem in loose if shares.of(stem) <= _MOST_WEAK)}
    requests = [*(text for text in texts if text.label == "stop"), *written_out()]
    missing = _missing(requests, strong, weak)
    for stem in _fewest(_places(requests), missing, shares):
        (strong if shares.of(stem) <= _MOST_STRONG else weak).add(stem)
    return Stems(tuple(sorted(strong)), tuple(sorted(weak - strong)))


def written(made: Stems) -> str:
    """The text of the stems' file, a stem a line."""
    given = {"strong": list(made.strong), "weak": list(made.weak)}
    return json.dumps(given, ensure_ascii=False, indent=0) + "\n"


@dataclass(frozen=True, slots=True)
class _Searched:
    """Some texts as ``Glance`` searches them; Han and kana are searched as they are."""

    data: bytes
    text: str
    texts: int

    def count(self, stem: str) -> int:
        """How often a stem is in the texts."""
        if is_spaceless(stem):
            return self.text.count(stem)
        return sum(self.data.count(form) for form in patterns_of(stem))


@dataclass(frozen=True, slots=True)
class _Shares:
    """How common a stem is in messages that ask for nothing."""

    ordinary: _Searched
    hard: _Searched
    _known: dict[str, float] = field(default_factory=dict)

    def of(self, stem: str) -> float:
        """The share of ordinary messages that have a stem, about."""
        if stem not in self._known:
            hard = self.hard.count(stem) / self.hard.texts
            self._known[stem] = max(self.ordinary.count(stem) / self.ordinary.texts, _HARD * hard)
        return self._known[stem]


def _joined(texts: Iterable[Text]) -> _Searched:
    bodies = [capped(text.body) for text in texts]
    return _Searched(folded_bytes(batch(bodies)), "\n".join(bodies), max(len(bodies), 1))


def _fewest(
    places: Mapping[str, Sequence[int]], missing: dict[int, int], shares: _Shares
) -> Iterator[str]:
    """Stems until no request lacks points, each time that with most requests for its share."""

    def worth(stem: str) -> float:
        served = sum(missing[at] > 0 for at in places[stem])
        return served / (shares.of(stem) * 5_000 + _SMOOTHING)

    heap = [(-worth(stem), stem) for stem in places if shares.of(stem) <= _MOST_WEAK]
    heapq.heapify(heap)
    while heap:
        _, stem = heapq.heappop(heap)
        now = -worth(stem)
        if now and heap and now > heap[0][0]:
            heapq.heappush(heap, (now, stem))  # others serve more by now
        elif now:
            yield stem
            for at in places[stem]:
                missing[at] -= _ENOUGH if shares.of(stem) <= _MOST_STRONG else 1


def _missing(requests: Sequence[Text], strong: set[str], weak: set[str]) -> dict[int, int]:
    """How many points each request still lacks."""
    stems_of: dict[bytes, list[str]] = {}  # several may fold to the same bytes
    for stem in sorted(strong | weak):
        for form in patterns_of(stem):
            stems_of.setdefault(form, []).append(stem)
    texts, stems = [capped(each.body) for each in requests], list(stems_of.values())
    starts: dict[int, set[int]] = {at: set() for at in range(len(texts))}
    missing = dict.fromkeys(starts, _ENOUGH)
    for pattern, start, at in search_for(list(stems_of)).find(batch(texts)):
        found = [each for each in stems[pattern] if not is_spaceless(each) or each in texts[at]]
        if found:
            starts[at].add(start)
            points = _ENOUGH if not strong.isdisjoint(found) else len(starts[at])
            missing[at] = min(missing[at], max(_ENOUGH - points, 0))
    return missing


def _places(requests: Sequence[Text]) -> Mapping[str, list[int]]:
    """The requests that have each candidate; a word of no known meaning needs to be rare."""
    found: dict[str, list[int]] = {}
    for at, text in enumerate(requests):
        for stem in sorted(set(_candidates(text))):
            found.setdefault(stem, []).append(at)
    return found


def _candidates(text: Text) -> Iterator[str]:
    """Parts of a text that bear on a request, as stems."""
    body = capped(text.body).lower()
    words = _WORD.findall(body)
    meant = [_meaning(word, text.language) for word in words]
    for word, concept in zip(words, meant, strict=True):
        if _SPACELESS.search(word):
            yield from _runs(word)
        elif concept in _FIRM | _LOOSE | {OTHER}:
            yield from _beginnings(word)
    for size in (2, 3):
        for at in range(len(words) - size + 1):
            near, concepts = " ".join(words[at : at + size]), {*meant[at : at + size]}
            if concepts & (_SAYING | _LOOSE) and concepts <= _BESIDE and near in body:
                yield f" {near} "


def _runs(word: str) -> Iterator[str]:
    for run in _SPACELESS.findall(word):
        for size in (2, 3, 4):
            yield from (run[at : at + size] for at in range(len(run) - size + 1))


def _beginnings(word: str) -> Iterator[str]:
    if len(word) > 2:
        yield f" {word} "
    for size in range(_SHORTEST, min(len(word), _LONGEST) + 1):
        yield f" {word[:size]}"


@lru_cache(maxsize=65_536)
def _meaning(word: str, language: str) -> str:
    known = language if language in lexicons() else UNIVERSAL
    concepts = [concept for concept, _ in tagged(tokens_of(word), known)]
    return concepts[0] if len(concepts) == 1 else ""


def _of_lexicons(concepts: frozenset[str]) -> list[str]:
    found = set()
    for document in documents().values():
        words = document.get("words", {})
        assert isinstance(words, dict)
        for concept in concepts & words.keys():
            found |= {_stem(word) for word in words[concept].split()}
    return sorted(stem for stem in found if len(folded(stem.strip())) > 2)


def _stem(word: str) -> str:
    written = word.replace("_", " ")
    if _SPACELESS.search(word):
        return written
    return f" {written[:-1]}" if word.endswith("*") else f" {written} "
