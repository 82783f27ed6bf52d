"""The score of a text: how likely a reasonable person reads it as a request to stop (R30)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from processor.suspicion.features import Clause, clauses_of
from processor.suspicion.lexicon import Tokens, languages_of, named

MODEL = "model.json"
_MOST_REASONS = 4
# Concepts that are given as reasons; the others carry the sentence.
_REASONS = named(
    "stop unsub remove cancel enough away revoke consent nomore negation contact message "
    "list number legal wrong already call"
)


@dataclass(frozen=True, slots=True)
class Model:
    """Weights of features, made by `python -m tests.suspicion`."""

    bias: float
    least: float  # the lowest score of a suspected text
    weights: Mapping[str, float]

    def sum_of(self, features: Set[str]) -> float:
        """The evidence of a clause; above zero it asks for an end rather than not."""
        weights = self.weights
        # An exact sum, so that the order of a set changes nothing.
        return self.bias + math.fsum([weights[each] for each in features if each in weights])


@dataclass(frozen=True, slots=True)
class Score:
    """How likely a text asks for an end, and what in it says so."""

    value: float  # 0 to 1
    reasons: tuple[str, ...]  # concepts of the clause that decided


@cache
def model() -> Model:
    """The model that ships with the package."""
    given = json.loads((files("processor.suspicion") / "data" / MODEL).read_text("utf-8"))
    return Model(given["bias"], given["least"], given["weights"])


def score_of(tokens: Tokens, by: Model) -> Score | None:
    """The score of a text by its most telling clause; None where no clause asks for anything."""
    clauses = [
        clause for language in languages_of(tokens) for clause in clauses_of(tokens, language)
    ]
    if not clauses:
        return None
    value, clause = max(
        ((by.sum_of(clause.features), clause) for clause in clauses), key=lambda pair: pair[0]
    )
    return Score(likelihood(value), _reasons(clause))


def likelihood(evidence: float) -> float:
    """The logistic function, of any finite number."""
    if evidence < 0:
        return 1 - likelihood(-evidence)
    return 1 / (1 + math.exp(-evidence))


def _reasons(clause: Clause) -> tuple[str, ...]:
    named = dict.fromkeys(each for each in clause.concepts if each in _REASONS)
    return tuple(named)[:_MOST_REASONS]
