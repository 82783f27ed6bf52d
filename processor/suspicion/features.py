"""What the score of a text is made of: concepts, their neighbours, and words (R30)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from processor.suspicion.lexicon import NEUTRAL, OTHER, tagged
from processor.suspicion.reading import BREAK

_FARTHEST = 5  # concepts between which a pair is counted
_LONGEST_PATTERN = 5  # concepts of a clause that is a feature as a whole
_MAX_CLAUSES = 8  # of a text that are read, those nearest its end
_MAX_WORDS = 32  # tokens of a clause that are read
_DECORATION = frozenset(("polite", "now", "angry", "#", "me"))  # left out of patterns
# A clause without any of these asks for nothing.
_ASKING = frozenset((
    "stop", "unsub", "remove", "cancel", "enough", "away", "revoke", "consent", "nomore", "negation",
    "contact", "message", "list", "off", "legal", "wrong", "call", "already",
))  # fmt: skip
# What other clauses say that bears on a clause's meaning.
_CONTEXT = frozenset((
    "praise", "reaction", "auto", "start", "channel", "limit", "other", "asking", "message", '"', "?",
    ">", "stop", "unsub", "remove", "cancel", "negation", "person", "contact", "wrong", "enough", "angry",
    "irequest", "legal", "nomore", "stopped", "unsubbed",
))  # fmt: skip
_START, _END = "^", "$"


def clauses_of(tokens: Sequence[str], language: str) -> list[list[str]]:
    """The features of each clause that may ask for something; each feature once, in any order."""
    clauses = list(_clauses(tokens, language))[-_MAX_CLAUSES:]
    found = []
    for at, (words, concepts) in enumerate(clauses):
        if not _ASKING.isdisjoint(concepts):
            around = {
                concept
                for other, (_, theirs) in enumerate(clauses)
                if other != at
                for concept in theirs
            }
            features = set(_of_clause(concepts, last=at == len(clauses) - 1, first=at == 0))
            features.update(_of_words(words[:_MAX_WORDS]))
            features.update(f"c {each}" for each in around & _CONTEXT)
            features.add(f"n {min(len(clauses), 4)}")
            found.append(list(features))
    return found


def _clauses(tokens: Sequence[str], language: str) -> Iterator[tuple[list[str], list[str]]]:
    words: list[str] = []
    concepts: list[str] = []
    for concept, part in tagged(tokens, language):
        if concept != BREAK:
            words.extend(part)
            if concept != NEUTRAL:
                concepts.append(concept)
        elif words:
            yield words, concepts
            words, concepts = [], []
    if words:
        yield words, concepts


def _of_clause(clause: list[str], *, first: bool, last: bool) -> Iterator[str]:
    bare = [each for each in clause if each not in _DECORATION or each == "me"]
    before = _START
    for at, concept in enumerate(bare):
        yield f"u {concept}"
        yield f"a {before} {concept}"
        before = concept
        if concept != OTHER:
            for other in bare[at + 2 : at + 1 + _FARTHEST]:
                yield f"s {concept} {other}"
    yield f"a {before} {_END}"
    for concept in clause:
        if concept in _DECORATION:
            yield f"u {concept}"
    pattern = [each for each in clause if each not in _DECORATION]
    if len(pattern) <= _LONGEST_PATTERN:
        yield f"p {' '.join(pattern)}"
        if first and last:
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
