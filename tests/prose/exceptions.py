"""The findings that are allowed until someone edits them: a number by rule and file."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.prose.rules import Finding

Counts = Mapping[str, Mapping[str, int]]
"""How many findings there are, by rule and file."""

_HEADER = """\
# Sentences that break a rule of tests/prose/rules.toml, by rule and file. It only shrinks.
# After an edit, `python -m tests.prose --update` writes smaller numbers; it refuses larger ones.
"""


def load(path: Path) -> Counts:
    """Read the allowed numbers; a rule without a table is new and has none yet."""
    return tomllib.loads(path.read_text("utf-8")) if path.exists() else {}


def count(findings: Iterable[Finding], names: Iterable[str]) -> Counts:
    """Count findings; every rule named gets a table, perhaps an empty one."""
    counters: dict[str, Counter[str]] = {name: Counter() for name in names}
    for finding in findings:
        counters[finding.rule][finding.file] += 1
    return counters


def differences(now: Counts, allowed: Counts) -> list[tuple[str, str, int, int]]:
    """Where the numbers differ: file, rule, findings now, findings allowed."""
    return [
        (file, rule, counted.get(file, 0), numbers.get(file, 0))
        for rule, counted in now.items()
        for numbers in [allowed.get(rule, {})]
        for file in sorted(counted.keys() | numbers.keys())
        if counted.get(file, 0) != numbers.get(file, 0)
    ]


def grown(now: Counts, allowed: Counts) -> list[tuple[str, int, int]]:
    """The rules with more findings in all than are allowed: rule, findings now, findings allowed.

    Only totals count, so that a file may be renamed or split. A new rule starts with its findings.
    """
    totals = [
        (rule, sum(counted.values()), sum(allowed[rule].values()))
        for rule, counted in now.items()
        if rule in allowed
    ]
    return [(rule, after, before) for rule, after, before in totals if after > before]


def written(counts: Counts) -> str:
    """The text of the file of exceptions."""
    tables = []
    for rule, files in counts.items():
        lines = [f'"{file}" = {number}' for file, number in sorted(files.items()) if number]
        tables.append("\n".join([f"[{rule}]", *lines]))
    return "\n\n".join([_HEADER.rstrip(), *tables]) + "\n"
