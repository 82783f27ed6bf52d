"""The commands, settings and metrics in the manuals exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import processor
from processor.cli import main
from processor.config import Settings
from tests.unit.test_observability import exposed  # noqa: F401 - a fixture

ROOT = Path(processor.__file__).parent.parent
MANUALS = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for folder in (ROOT, ROOT / "deploy", ROOT / "processor")
    for path in sorted(folder.glob("*.md"))
}


def helps(command: click.Command) -> Iterator[str]:
    """The help of a command, and of all below it."""
    yield command.help or ""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from helps(each)


def typed() -> Iterator[tuple[str, str]]:
    """Every complete command line, with its place."""
    line = r"(?:\w+=\S+ )?(?:\.venv/bin/)?optout ([^|>\n]+)"
    for name, text in MANUALS.items():
        yield from ((name, found) for found in re.findall(rf"^ {{4,}}{line}", text, re.M))
    for text in helps(main):
        yield from (("--help", found) for found in re.findall(rf"Example: {line}", text))


def named() -> Iterator[tuple[str, str]]:
    """Every command that is named in a sentence, perhaps without its arguments."""
    for name, text in MANUALS.items():
        yield from ((name, found) for found in re.findall(r"`optout\s([^`]+)`", text))


def at_the_end(words: list[str]) -> tuple[click.Command, click.Context, list[str]]:
    """The command that words name, and those left for it; ``UsageError`` where there is none."""
    command: click.Command = main
    context = click.Context(main, info_name="optout")
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found
        command, context = found, click.Context(found, context, name)
    return command, context, words


@pytest.mark.parametrize(("where", "line"), sorted(set(typed())))
def test_a_command_line_is_taken(where: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (click.Path, click.File):  # the files are the reader's
        monkeypatch.setattr(kind, "convert", lambda self, value, param, context: value)
    command, context, words = at_the_end(shlex.split(line, comments=True))
    command.make_context(context.info_name, words, context.parent)


@pytest.mark.parametrize(("where", "line"), sorted(set(named())))
def test_a_command_that_is_named_exists_with_its_options(where: str, line: str) -> None:
    command, context, words = at_the_end(shlex.split(line))
    command.make_parser(context).parse_args(words)


def found_in_manuals(pattern: str) -> set[str]:
    return {found for text in MANUALS.values() for found in re.findall(pattern, text)}


def test_settings_that_are_named_exist() -> None:
    assert found_in_manuals(r"\bOPTOUT_[A-Z_]+[A-Z]\b") <= {
        f"OPTOUT_{name.upper()}" for name in Settings.model_fields
    }


def test_the_readme_has_every_setting() -> None:
    words = set(re.findall(r"`([A-Z_]+)`", MANUALS["README.md"]))
    ends = tuple(word for word in words if word.startswith("_"))  # `KAFKA_USERNAME`, `_PASSWORD`
    names = {name.upper() for name in Settings.model_fields}
    assert {name for name in names - words if not name.endswith(ends)} == set()


def test_metrics_that_are_named_exist(exposed: dict[str, Any]) -> None:  # noqa: F811
    assert found_in_manuals(r"\boptout_[a-z_]+\b") <= set(exposed)


def test_what_a_log_is_searched_for_is_logged() -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "processor").rglob("*.py"))
    events = re.findall(r"`([a-z]+)\.([a-z_]+)`", MANUALS["deploy/runbook.md"])
    assert events
    for area, event in events:
        assert f'"{area}.{event}"' in sources or f'}}.{event}"' in sources, (area, event)


def test_what_make_is_told_to_make_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert found_in_manuals(r"(?:^ {4}|`)make ([a-z-]+)") <= targets
