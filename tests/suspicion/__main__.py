"""Make the model of suspected opt-outs, and say whether it became better.

``python -m tests.suspicion`` reads the texts of `tests/suspicion/data/`, and files that
`optout suspected export` wrote. It compares a model with those files and one without on texts that
neither learned from, writes the model with them, and prints the table.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from processor.suspicion import score
from processor.suspicion.score import MODEL
from processor.suspicion.stems import STEMS
from tests.suspicion import held_out, picking, texts, training

DATA = Path(score.__file__).parent / "data"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 1 if a file cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m tests.suspicion", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="labelled texts to learn from, too")
    parser.add_argument("--folds", type=int, default=5, help="parts to hold out; 0: do not measure")
    parser.add_argument("--to", type=Path, default=DATA, help="the folder to write to")
    given = parser.parse_args(arguments)
    try:
        more = [text for path in given.files for text in texts.read(path)]
    except (OSError, texts.WrongFile) as error:
        print(error, file=sys.stderr)
        return 1
    if given.folds > 1:
        for line in held_out.compared(more, folds=given.folds):
            print(line)
    known = texts.all_known() + more
    model, stems = training.made_of(known), picking.made_of(known)
    (given.to / MODEL).write_text(training.written(model, training.digest_of(known)), "utf-8")
    (given.to / STEMS).write_text(picking.written(stems), "utf-8")
    print(f"{given.to}: {len(model.weights):,} weights, {len(stems.strong):,} strong stems")
    return 0


if __name__ == "__main__":
    sys.exit(main())
