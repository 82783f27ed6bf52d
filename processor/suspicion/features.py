"""The features of a text that its score is made of: concepts, their neighbours, words (R30)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import chain, combinations

from processor.suspicion.lexicon import NEUTRAL, OTHER, Tokens, named, tagged
from processor.suspicion.reading import BREAK

_LONGEST_PATTERN = 5  # concepts of a clause that is a feature as a whole
_MAX_CLAUSES = 8  # of a text that are read, those nearest its end
_MAX_WORDS = 32  # tokens of a clause that are read
_DECORATION = frozenset(("polite", "now", "angry", "#", "me"))  # left out of patterns
_APART = _DECORATION - {"me"}  # left out of pairs, too
_JOINT = "joint"
_UNSEEN = frozenset((NEUTRAL, _JOINT))
_BEFORE_PART = frozenset((_JOINT, "polite"))
# A clause without any of these asks for nothing.
_ASKING = named(
    "stop unsub remove cancel enough away revoke consent nomore negation contact message "
    "list off legal wrong call already"
)
# Concepts of other clauses that bear on a clause's meaning.
_CONTEXT = named(
    '" ? > praise reaction auto start channel limit other asking message stop unsub remove '
    "cancel negation person contact wrong enough angry irequest legal nomore stopped "
    "unsubbed"
)
_START, _END = "^", "$"


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause that may ask for something."""

    concepts: Sequence[str]  # in order, without neutral concepts
    features: Set[str]


@dataclass(frozen=True, slots=True)
class _Part:
    words: list[str]
    concepts: list[str]  # of each word; an expression has its own first, then neutral concepts


def clauses_of(tokens: Tokens, language: str) -> list[Clause]:
    """The clauses of a text that may ask for something.

    A clause with a conjunction or a courtesy within is read whole and in its parts.
    """
    read = list(_clauses(tokens, language))[-_MAX_CLAUSES:]
    found = []
    for at, clause in enumerate(read):
        if not _may_ask(clause):
            continue
        others = [other.concepts for place, other in enumerate(read) if place != at]
        around = _CONTEXT.intersection(chain.from_iterable(others))
        found.append(_read(clause, around, alone=len(read) == 1, clauses=len(read)))
        parts = _parts(clause)
        for part in parts if len(parts) > 1 else ():
            if _may_ask(part):
                beside = chain.from_iterable(each.concepts for each in parts if each is not part)
                context = around | _CONTEXT.intersection(beside)
                found.append(_read(part, context, alone=False, clauses=len(read)))
    return found


def _may_ask(clause: _Part) -> bool:
    return not _ASKING.isdisjoint(clause.concepts)


def _read(clause: _Part, around: Set[str], *, alone: bool, clauses: int) -> Clause:
    concepts = [each for each in clause.concepts if each not in _UNSEEN]
    features = set(_of_concepts(concepts, alone=alone))
    features.update(_of_words(clause.words[:_MAX_WORDS]))
    features.update([f"c {each}" for each in around])
    asking = _ASKING.intersection(concepts)
    features.update([f"k {each} {concept}" for each in around for concept in asking])
    features.add(f"n {min(clauses, 4)}")
    return Clause(concepts, features)


def _clauses(tokens: Tokens, language: str) -> Iterator[_Part]:
    clause = _Part([], [])
    for concept, part in tagged(tokens, language):
        if concept != BREAK:
            clause.words.extend(part)
            clause.concepts.append(concept)
            clause.concepts.extend([NEUTRAL] * (len(part) - 1))
        elif clause.words:
            yield clause
            clause = _Part([], [])
    if clause.words:
        yield clause


def _parts(clause: _Part) -> list[_Part]:
    parts = [_Part([], [])]
    for word, concept in zip(clause.words, clause.concepts, strict=True):
        if concept in _BEFORE_PART and parts[-1].words:
            parts.append(_Part([], []))
        parts[-1].words.append(word)
        parts[-1].concepts.append(concept)
    return parts


def _of_concepts(clause: list[str], *, alone: bool) -> Iterator[str]:
    bare = [each for each in clause if each not in _APART]
    before = _START
    for concept in bare:
        yield f"u {concept}"
        yield f"a {before} {concept}"
        before = concept
    yield f"a {before} {_END}"
    for one, other in combinations(sorted(set(bare) - {OTHER}), 2):
        yield f"o {one} {other}"
    for concept in clause:
        if concept in _DECORATION:
            yield f"u {concept}"
    pattern = [each for each in clause if each not in _DECORATION]
    if len(pattern) <= _LONGEST_PATTERN:
        yield f"p {' '.join(pattern)}"
        if alone:
            yield f"t {' '.join(pattern)}"
    if OTHER not in bare:
        yield "known"


def _of_words(tokens: Sequence[str]) -> Iterator[str]:
    before = _START
    for token in tokens:
        yield f"w {token}"
        yield f"b {before} {token}"
        before = token
    yield f"b {before} {_END}"
