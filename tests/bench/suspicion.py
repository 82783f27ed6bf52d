"""How well and how fast texts are read for requests to stop: ``python -m tests.bench.suspicion``.

Each FILE has JSON lines with `body`, `label` (stop, ambiguous, not) and `lang`. A table shows
recall and precision by language, and how many each tier caught. Ambiguous texts count for neither.
A file where every label is `not` is ordinary traffic; it gets a rate with its upper bound.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from pathlib import Path

from processor.core.messages import OptOutType
from processor.suspicion.assess import assess
from processor.suspicion.glance import Glance
from tests.suspicion import texts
from tests.suspicion.in_force import every_word, policy_of, words_of
from tests.suspicion.texts import Text

_BATCH = 500  # texts of a glance
_ROUNDS = 5  # of a timing, of which the fastest counts
_GOOD_ENOUGH = 20_000  # texts of ordinary traffic


class Way(StrEnum):
    """How a text was caught."""

    KEYWORD = "keyword"
    PHRASE = "phrase"
    SUSPECTED = "suspected"


@dataclass(frozen=True, slots=True)
class Caught:
    """A text and the way it was caught, if any."""

    text: Text
    way: Way | None


def main(arguments: list[str] | None = None) -> int:
    """Print the table of each file, then the times; 1 if a file cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.suspicion", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--show", action="store_true", help="print the texts that went wrong")
    given = parser.parse_args(arguments)
    for path in given.files:
        try:
            read = texts.read(path)
        except (OSError, texts.WrongFile) as error:
            print(error, file=sys.stderr)
            return 1
        print(f"{path}: {len(read):,} texts")
        _report([Caught(text, way_of(text)) for text in read], shown=given.show)
        for line in _times(read):
            print(line)
    return 0


def way_of(text: Text) -> Way | None:
    """Read a text as a service would that has the standard words and the language's pack."""
    found = policy_of(text.language).match(text.body, None)
    if found is not None:
        return Way.KEYWORD if found.kind is OptOutType.STOP else None
    suspicion = assess(text.body, words_of(text.language))
    return None if suspicion is None else Way(suspicion.tier.value)


def upper_bound(hits: int, count: int) -> float:
    """The highest rate at which so few hits are as likely as 1 in 20 (exact, Poisson)."""
    low, high = float(hits), hits + 10 * math.sqrt(hits + 1) + 10
    while high - low > 1e-6:
        middle = (low + high) / 2
        if _at_most(hits, middle) > 0.05:
            low = middle
        else:
            high = middle
    return high / count


def _at_most(hits: int, mean: float) -> float:
    terms = (at * math.log(mean) - mean - math.lgamma(at + 1) for at in range(hits + 1))
    return math.fsum(map(math.exp, terms)) if mean else 1.0


def _report(caught: Sequence[Caught], *, shown: bool) -> None:
    if all(each.text.label == "not" for each in caught):
        _report_ordinary(caught)
    else:
        _report_labelled(caught)
    for each in caught if shown else ():
        if each.text.label != "ambiguous" and (each.way is None) is (each.text.label == "stop"):
            print(f"  {each.text.label:4} {each.way or 'missed':9} {each.text.body!r}")


def _report_ordinary(caught: Sequence[Caught]) -> None:
    for way in Way:
        hits = sum(each.way is way for each in caught)
        bound = upper_bound(hits, len(caught))
        print(f"  {way:9} {hits:5} in {len(caught):,}; at most 1 in {1 / bound:,.0f} (95 %)")
    if len(caught) < _GOOD_ENOUGH:
        print(f"  too few texts for a rate: give {_GOOD_ENOUGH:,} or more")


def _report_labelled(caught: Sequence[Caught]) -> None:
    print("  lang  requests recall precision  keyword phrase suspected  wrong: phrase suspected")
    known = dict.fromkeys(each.text.language for each in caught)
    for language in [*known, "all"]:
        some = [each for each in caught if language in (each.text.language, "all")]
        print(f"  {language:5} {_row(some)}")


def _row(caught: Sequence[Caught]) -> str:
    stop = [each for each in caught if each.text.label == "stop"]
    other = [each for each in caught if each.text.label == "not"]
    right = {way: sum(each.way is way for each in stop) for way in Way}
    wrong = {way: sum(each.way is way for each in other) for way in Way}
    found, false = sum(right.values()), sum(wrong.values())
    recall, precision = _share(found, len(stop)), _share(found, found + false)
    return (
        f"{len(stop):8} {recall:>6} {precision:>9}  {right[Way.KEYWORD]:7} {right[Way.PHRASE]:6} "
        f"{right[Way.SUSPECTED]:9}  {wrong[Way.PHRASE]:13} {wrong[Way.SUSPECTED]:9}"
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def _times(read: Sequence[Text]) -> Iterable[str]:
    """The time of a glance for each text, and of an assessment for each text that it names."""
    glance = Glance(every_word())
    bodies = [text.body for text in read]
    batches = [bodies[at : at + _BATCH] for at in range(0, len(bodies), _BATCH)]
    named = [text for text in read if glance.names(text.body)]
    glanced = _fastest(lambda: [glance.at(batch) for batch in batches])
    yield f"  glance {glanced / len(read) * 1e6:.3f} µs a text"
    yield f"  glance names {len(named):,} of {len(read):,}"
    if named:
        new = (f"{number} " for number in count())  # so that no result is remembered
        assessed = _fastest(
            lambda: [assess(next(new) + text.body, words_of(text.language)) for text in named]
        )
        yield f"  assess {assessed / len(named) * 1e6:.1f} µs a text that is named"


def _fastest(run: Callable[[], object]) -> float:
    """Seconds of CPU."""
    took = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        run()
        took.append(time.process_time() - began)
    return min(took)


if __name__ == "__main__":
    sys.exit(main())
