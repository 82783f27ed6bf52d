"""List sentences that are not plain English; fail where a file has more or fewer than allowed.

``python -m tests.prose [--update] [FILE ...]`` runs in `make lint`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from tests.prose import exceptions, rules
from tests.prose.reading import texts_of

_HERE = Path(__file__).parent
_ROOT = _HERE.parent.parent
_EXCEPTIONS = _HERE / "exceptions.toml"


def main(arguments: list[str] | None = None) -> int:
    """Check the project's files, or list the findings in the files named."""
    parser = argparse.ArgumentParser(prog="python -m tests.prose", description=__doc__)
    parser.add_argument("--update", action="store_true", help="allow fewer findings from now on")
    parser.add_argument("--all", action="store_true", help="list allowed findings, too")
    parser.add_argument("files", nargs="*", type=Path, help="only list the findings in these files")
    given = parser.parse_args(arguments)
    known = rules.load(_HERE / "rules.toml")
    if given.files:
        return _list(list(rules.check(_ROOT, [each.resolve() for each in given.files], known)))
    paths = rules.files_of(_ROOT, known)
    findings = list(rules.check(_ROOT, paths, known))
    now = exceptions.count(findings, known.names)
    allowed = exceptions.load(_EXCEPTIONS)
    if given.update:
        return _update(now, allowed)
    changed = exceptions.differences(now, allowed)
    more = {(file, rule) for file, rule, after, before in changed if after > before}
    shown = [each for each in findings if given.all or (each.file, each.rule) in more]
    _list(shown)
    for file, rule, after, before in changed:
        print(f"{file}: {rule}: {after} sentences, {before} allowed")
    if more:
        print("edit the sentences above")
    if changed:
        print("where a file has fewer than allowed, run: python -m tests.prose --update")
        return 1
    lengths = [
        rules.words_in(sentence)
        for path in paths
        for text in texts_of(path)
        for sentence in rules.sentences(text)
    ]
    left = ", ".join(f"{sum(files.values())} {rule}" for rule, files in now.items())
    print(f"median sentence: {statistics.median(lengths):.0f} words; left to edit: {left}")
    return 0


def _list(findings: list[rules.Finding]) -> int:
    for each in findings:
        print(f"{each.file}:{each.line}: {each.rule}: {each.sentence}\n    {each.say}")
    return 1 if findings else 0


def _update(now: exceptions.Counts, allowed: exceptions.Counts) -> int:
    grown = exceptions.grown(now, allowed)
    for rule, after, before in grown:
        print(f"{rule}: {after} sentences, {before} allowed: the list may not grow")
    if not grown:
        _EXCEPTIONS.write_text(exceptions.written(now), "utf-8")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
