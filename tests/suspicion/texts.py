"""Labelled texts: those of `data/`, and files of JSON lines as `optout suspected export` has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DATA = Path(__file__).parent / "data"
FIELD = DATA / "revocation_dev.jsonl"
HAM = DATA / "ham.txt"

Label = Literal["stop", "ambiguous", "not"]
_LABELS: dict[str, Label] = {"+": "stop", "?": "ambiguous", "-": "not"}
_KNOWN: dict[str, Label] = {"stop": "stop", "ambiguous": "ambiguous", "not": "not"}
_PAIR = re.compile(r"\[pair ([^\]]+)\]")


class WrongFile(ValueError):
    """A file of texts that cannot be read; the message names file, line and remedy."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text and what a person says it is."""

    body: str
    label: Label
    language: str
    group: str = ""  # texts of a group, such as a minimal pair, are never held out apart
    chosen: bool = True  # for what it says, rather than as it came


def field() -> list[Text]:
    """The texts of the evaluation set that are open."""
    return read(FIELD)


def ham() -> list[Text]:
    """Ordinary messages of the SMS Spam Collection."""
    return [Text(body, "not", "en", chosen=False) for body in HAM.read_text("utf-8").splitlines()]


def own() -> list[Text]:
    """The project's own wording in every language."""
    return [text for path in sorted(DATA.glob("*.txt")) if path != HAM for text in _written(path)]


def all_known() -> list[Text]:
    """Every text of `data/`, always in the same order."""
    return [*field(), *own(), *ham()]


def read(path: Path) -> list[Text]:
    """The texts of a file of JSON lines with `body`, `label`, `lang` and perhaps `why`.

    Raises:
        WrongFile: for a line that is not such an object.
    """
    lines = path.read_text("utf-8").splitlines()
    return [_text(line, f"{path}:{at}") for at, line in enumerate(lines, 1) if line.strip()]


def _text(line: str, where: str) -> Text:
    try:
        given = json.loads(line)
        label, body, language = _KNOWN[given["label"]], given["body"], given["lang"]
    except (ValueError, KeyError, TypeError):
        expected = '{"body": "…", "label": "stop|ambiguous|not", "lang": "en"}'
        raise WrongFile(f"{where}: not a labelled text; write {expected}") from None
    pair = _PAIR.search(str(given.get("why", "")))
    return Text(str(body), label, str(language), pair[1] if pair else "")


def _written(path: Path) -> Iterator[Text]:
    for line in path.read_text("utf-8").splitlines():
        if line[:1] in _LABELS and line[1:2] == " ":
            yield Text(line[2:].replace("\\n", "\n"), _LABELS[line[0]], path.stem)
