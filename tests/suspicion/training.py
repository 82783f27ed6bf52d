"""Make the model of the score: logistic regression on the strongest clause (R30).

A text asks for an end if any of its clauses does, and only the text has a label. So each step
looks for the clause with the most evidence under the weights so far, and learns from it.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from itertools import chain

from processor.suspicion.features import clauses_of
from processor.suspicion.lexicon import documents, languages_of, lexicons
from processor.suspicion.reading import capped, tokens_of
from processor.suspicion.score import Model, likelihood
from tests.suspicion.texts import Text

LEAST_EVIDENCE = 0.3  # of a suspected text; zero is as likely as not
_ROUNDS = 12
_MEAN_OF = 6  # rounds at the end whose weights are averaged
_RATE = 0.2
_DECAY = 3e-4
_SEEDS = (1, 2, 3, 4, 5)  # orders of the texts; the mean of five depends little on any
_FEWEST_TEXTS = {"w": 3, "b": 3}  # that have a feature, by its kind
_FEWEST_OF_OTHERS = 2
_LEAST_WEIGHT = 0.05  # smaller weights are left out of the model
_DIGITS = 2  # of a weight in the model


def made_of(texts: Sequence[Text]) -> Model:
    """Learn from texts; the same texts in the same order give the same model."""
    examples = [
        (clauses, text.label == "stop")
        for text in texts
        if text.label != "ambiguous" and (clauses := _clauses(text))
    ]
    names = _names(clauses for clauses, _ in examples)
    place = {name: at for at, name in enumerate(names)}
    numbered = [
        ([sorted(place[name] for name in clause if name in place) for clause in clauses], stop)
        for clauses, stop in examples
    ]
    runs = [_learned(numbered, len(names), seed) for seed in _SEEDS]
    weights = [math.fsum(each) / len(runs) for each in zip(*(run[0] for run in runs), strict=True)]
    bias = math.fsum(run[1] for run in runs) / len(runs)
    kept = {
        name: round(weight, _DIGITS)
        for name, weight in zip(names, weights, strict=True)
        if abs(weight) >= _LEAST_WEIGHT
    }
    return Model(round(bias, _DIGITS), round(likelihood(LEAST_EVIDENCE), 4), kept)


def written(model: Model, source: str) -> str:
    """The text of a model's file, a feature a line.

    Args:
        model: as it was made.
        source: the digest of its texts, so that a test knows an old file.
    """
    given = {
        "bias": model.bias,
        "least": model.least,
        "source": source,
        "weights": dict(model.weights),
    }
    return json.dumps(given, ensure_ascii=False, sort_keys=True, indent=0) + "\n"


def digest_of(texts: Sequence[Text]) -> str:
    """A digest of texts and of the words whose meaning is known."""
    digest = hashlib.sha256(json.dumps(documents(), sort_keys=True).encode())
    for text in texts:
        digest.update(f"{text.label} {text.language} {text.body}\n".encode())
    return digest.hexdigest()


def _clauses(text: Text) -> list[Set[str]]:
    """The features of each clause.

    An ordinary text is read in every language that it may be taken for, a request in its own.
    """
    tokens = tokens_of(capped(text.body))
    languages = set(languages_of(tokens)) if text.label == "not" else set()
    if text.language in lexicons():
        languages.add(text.language)
    known = sorted(languages or languages_of(tokens))
    return [clause.features for language in known for clause in clauses_of(tokens, language)]


def _names(examples: Iterable[Sequence[Set[str]]]) -> list[str]:
    counts = Counter(name for clauses in examples for name in set(chain.from_iterable(clauses)))
    return sorted(
        name
        for name, count in counts.items()
        if count >= _FEWEST_TEXTS.get(name[0], _FEWEST_OF_OTHERS)
    )


_Example = tuple[list[list[int]], bool]


def _learned(examples: list[_Example], size: int, seed: int) -> tuple[list[float], float]:
    """Weights and bias by AdaGrad with decay, the mean of the last rounds."""
    weights, squares, bias = [0.0] * size, [1e-8] * size, 0.0
    means, mean_bias = [0.0] * size, 0.0
    order = list(examples)
    shuffled = random.Random(seed)
    for number in range(_ROUNDS):
        shuffled.shuffle(order)
        for clauses, stop in order:
            bias -= _step(clauses, stop, weights, squares, bias)
        if number >= _ROUNDS - _MEAN_OF:
            means = [mean + weight / _MEAN_OF for mean, weight in zip(means, weights, strict=True)]
            mean_bias += bias / _MEAN_OF
    return means, mean_bias


def _step(
    clauses: list[list[int]], stop: bool, weights: list[float], squares: list[float], bias: float
) -> float:
    """Learn from the strongest clause of a text; returns by how much the bias falls."""
    sums = [sum([weights[at] for at in clause]) for clause in clauses]
    most = max(sums)
    error = likelihood(bias + most) - stop
    for at in clauses[sums.index(most)]:
        slope = error + _DECAY * weights[at]
        squares[at] += slope * slope
        weights[at] -= _RATE * slope / squares[at] ** 0.5
    return 0.1 * _RATE * error
