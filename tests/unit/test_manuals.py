"""Every command, setting and metric that the manuals mention exists."""

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

ROOT = Path(processor.__file__).parent.parent
SOURCES = ("deploy", "processor", "schemas", "tests")
FOLDERS = (
    ".",
    ".github",
    "deploy",
    "processor",
    "processor/configuration",
    "processor/http",
    "schemas",
    "tests/bench",
)
MANUALS = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for folder in FOLDERS
    for path in sorted((ROOT / folder).glob("*.md"))
}


def helps(command: click.Command) -> Iterator[str]:
    """The help of a command, and of all below it."""
    yield command.help or ""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from helps(each)


def typed() -> Iterator[tuple[str, str]]:
    """Every whole command line, and the page it is on."""
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
    """The command that words name, and the words left for it; ``UsageError`` if there is none."""
    command: click.Command = main
    context = click.Context(main, info_name="optout")
    while isinstance(command, click.Group) and (words or not command.invoke_without_command):
        if words and words[0].startswith("-"):
            break  # options of the group itself
        name, found, words = command.resolve_command(context, words)
        assert found
        command, context = found, click.Context(found, context, name)
    return command, context, words


@pytest.mark.parametrize(("where", "line"), sorted(set(typed())))
def test_a_command_line_is_taken(where: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (click.Path, click.File):  # the reader has the files
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


def test_the_settings_page_has_every_setting() -> None:
    words = set(re.findall(r"`OPTOUT_([A-Z_]+)`", MANUALS["deploy/settings.md"]))
    assert words == {name.upper() for name in Settings.model_fields}


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(MANUALS["README.md"].splitlines()) <= 150


def links() -> Iterator[tuple[str, str]]:
    """Every link and picture that leads into the project, and the page it is on."""
    for name, text in MANUALS.items():
        prose = re.sub(r"^ {4,}.*$|`[^`]*`", "", text, flags=re.M)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if "://" not in target:
                yield name, target


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.M):
        words = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(words.replace(" ", "-"))
    return found


@pytest.mark.parametrize(("where", "target"), sorted(set(links())))
def test_a_link_leads_somewhere(where: str, target: str) -> None:
    path, _, anchor = target.partition("#")
    page = (ROOT / where).parent / path if path else ROOT / where
    assert page.exists()
    assert not anchor or anchor in anchors(page.read_text("utf-8"))


def test_every_page_is_reached_from_the_readme() -> None:
    reached, found = {"README.md"}, {"README.md"}
    while found:
        found = {
            str(page.resolve().relative_to(ROOT.resolve()))
            for where, target in links()
            if where in found and (page := (ROOT / where).parent / target.partition("#")[0])
        } & set(MANUALS) - reached
        reached |= found
    pages = {name for name in MANUALS if not name.startswith(".github/")}  # GitHub shows these
    assert pages - reached == set()


def test_code_files_that_are_named_exist() -> None:
    names = {path.name for top in SOURCES for path in (ROOT / top).rglob("*.py")}
    assert found_in_manuals(r"`(?:[\w/]+/)?(\w+\.py)`") <= names


def test_metrics_that_are_named_exist(exposed: dict[str, Any]) -> None:
    assert found_in_manuals(r"\boptout_[a-z_]+\b") <= set(exposed)


def test_what_a_log_is_searched_for_is_logged() -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "processor").rglob("*.py"))
    events = re.findall(r"`([a-z]+)\.([a-z_]+)`", MANUALS["deploy/runbook.md"])
    assert events
    for area, event in events:
        assert f'"{area}.{event}"' in sources or f'}}.{event}"' in sources, (area, event)


def test_what_make_is_told_to_make_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert found_in_manuals(r"(?m)(?:^ {4}|`)make ([a-z-]+)") <= targets
