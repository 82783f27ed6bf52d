"""Find avoidable constructions and long sentences in the prose of the project's files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.prose.reading import Text, texts_of

LONG = "long-sentence"
_SENTENCE_END = re.compile(r"(?<=[.?!])[\"')*]*\s+(?=[\"'(*]*(?:[A-Z0-9]|--))")
_WORD = re.compile(r"\w[\w'/.-]*")


@dataclass(frozen=True, slots=True)
class Rule:
    """A construction to avoid: the pattern that finds it, and the advice that goes with it."""

    name: str
    pattern: re.Pattern[str]
    say: str


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules, and the files to which they apply."""

    read: tuple[str, ...]
    left_out: frozenset[str]
    longest: int  # words of a sentence
    long_say: str
    avoid: tuple[Rule, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the rules, as counts use them."""
        return (*(rule.name for rule in self.avoid), LONG)


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence that breaks a rule."""

    file: str
    line: int
    rule: str
    say: str
    sentence: str


def load(path: Path) -> Rules:
    """Read the rules from their data file."""
    data = tomllib.loads(path.read_text("utf-8"))
    return Rules(
        read=tuple(data["files"]["read"]),
        left_out=frozenset(data["files"]["generated"]) | frozenset(data["files"]["quoted"]),
        longest=data["longest_sentence"]["words"],
        long_say=data["longest_sentence"]["say"],
        avoid=tuple(
            Rule(name, re.compile(each["pattern"], re.IGNORECASE), each["say"])
            for name, each in data["rules"].items()
        ),
    )


def sentences(text: Text) -> list[str]:
    """The sentences of a passage; a colon or a semicolon ends none."""
    return [one for one in _SENTENCE_END.split(text.words) if one.strip()]


def words_in(sentence: str) -> int:
    """The number of words in a sentence."""
    return len(_WORD.findall(sentence))


def breaches(sentence: str, rules: Rules) -> Iterator[tuple[str, str]]:
    """The name and the advice of each rule that a sentence breaks."""
    for rule in rules.avoid:
        for _ in rule.pattern.finditer(sentence):
            yield rule.name, rule.say
    if words_in(sentence) > rules.longest:
        yield LONG, rules.long_say


def files_of(root: Path, rules: Rules) -> list[Path]:
    """The files to check, sorted."""
    found = {path for pattern in rules.read for path in root.glob(pattern)}
    return sorted(path for path in found if str(path.relative_to(root)) not in rules.left_out)


def findings_in(file: str, texts: Iterable[Text], rules: Rules) -> list[Finding]:
    """The findings in the passages of one file, by line."""
    found = [
        Finding(file, text.line, rule, say, sentence)
        for text in texts
        for sentence in sentences(text)
        for rule, say in breaches(sentence, rules)
    ]
    return sorted(found, key=lambda finding: finding.line)


def check(root: Path, paths: Sequence[Path], rules: Rules) -> Iterator[Finding]:
    """The findings in the files of a project."""
    for path in paths:
        yield from findings_in(str(path.relative_to(root)), texts_of(path), rules)
