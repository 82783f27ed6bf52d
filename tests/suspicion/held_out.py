"""How well models do on texts that they did not learn from (R30)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from processor.suspicion.reading import capped, tokens_of
from processor.suspicion.score import Model, score_of
from tests.suspicion import texts, training
from tests.suspicion.texts import Text

_SEED = 7


@dataclass(frozen=True, slots=True)
class Judged:
    """A text that was held out, and whether the model suspects it."""

    text: Text
    suspected: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one kind of texts; ambiguous texts count for neither side."""

    caught: int
    missed: int
    wrong: int  # suspected, but not a request
    left: int

    @property
    def recall(self) -> float:
        """The share of requests that were suspected; 1 without requests."""
        return self.caught / (self.caught + self.missed) if self.caught + self.missed else 1.0

    @property
    def precision(self) -> float:
        """The share of suspected texts that are requests; 1 without suspected texts."""
        return self.caught / (self.caught + self.wrong) if self.caught + self.wrong else 1.0


def compared(more: Sequence[Text], *, folds: int) -> Iterator[str]:
    """Lines that compare models without and with more texts; only held-out texts are judged."""
    known = texts.all_known()
    before = tally_of(judged(known, more, folds=folds, learn_more=False))
    yield f"as it is      {_line(before)}"
    if more:
        after = tally_of(judged(known, more, folds=folds, learn_more=True))
        yield f"with the file {_line(after)}"
        yield f"it became {_verdict(before, after)}"


def judged(
    known: Sequence[Text], more: Sequence[Text], *, folds: int, learn_more: bool
) -> Iterator[Judged]:
    """Judge each text that was chosen by hand by a model that did not learn from its fold."""
    places = folds_of([*known, *more], folds)
    for fold in range(folds):
        kept = [text for text, place in zip(known, places, strict=False) if place != fold]
        if learn_more:
            theirs = places[len(known) :]
            kept += [text for text, place in zip(more, theirs, strict=True) if place != fold]
        model = training.made_of(kept)
        for text, place in zip([*known, *more], places, strict=True):
            if place == fold:
                yield Judged(text, suspects(model, text.body))


def suspects(model: Model, body: str) -> bool:
    """Whether a model alone, without phrases, suspects a text."""
    score = score_of(tokens_of(capped(body)), model)
    return score is not None and score.value >= model.least


def tally_of(those: Iterator[Judged]) -> Tally:
    """Count what became of texts."""
    caught = missed = wrong = left = 0
    for each in those:
        if each.text.label == "stop":
            caught, missed = caught + each.suspected, missed + (not each.suspected)
        elif each.text.label == "not":
            wrong, left = wrong + each.suspected, left + (not each.suspected)
    return Tally(caught, missed, wrong, left)


def folds_of(all_texts: Sequence[Text], folds: int) -> list[int]:
    """A fold for each text; texts of a group share theirs."""
    chosen = random.Random(_SEED)
    groups: dict[str, int] = {}
    found = []
    for text in all_texts:
        fold = chosen.randrange(folds)
        found.append(groups.setdefault(text.group, fold) if text.group else fold)
    return found


def _line(tally: Tally) -> str:
    of_stop, of_not = tally.caught + tally.missed, tally.wrong + tally.left
    return (
        f"recall {tally.recall:.3f} of {of_stop:,} requests, precision {tally.precision:.3f}, "
        f"{tally.wrong} of {of_not:,} other texts suspected"
    )


def _verdict(before: Tally, after: Tally) -> str:
    """Better or worse by the number of wrong decisions."""
    errors_before, errors_after = (each.missed + each.wrong for each in (before, after))
    if errors_after == errors_before:
        return f"neither better nor worse: {errors_after} wrong decisions"
    word = "better" if errors_after < errors_before else "worse"
    return f"{word}: {errors_before} wrong decisions before, {errors_after} after"
