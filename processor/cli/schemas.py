"""`optout schemas`: JSON Schema files, the AsyncAPI document, and what the last release had."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from schemas import asyncapi, json_schema, released

_FOLDER = Path(json_schema.__file__).parent / "json"


@click.group("schemas")
def group() -> None:
    """Write the contract of the topics, or check it against the models and the last release."""


@group.command("export")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
def export(folder: Path | None) -> None:
    """Write one JSON Schema file a topic, and asyncapi.yaml, into FOLDER.

    Without FOLDER they are written where they are kept.

    Example: optout schemas export contracts/
    """
    for path in json_schema.export(folder or _FOLDER):
        click.echo(path)
    document = folder / asyncapi.FILE.name if folder else asyncapi.FILE
    document.write_text(asyncapi.text(), encoding="utf-8")
    click.echo(document)


@group.command("check")
def check() -> None:
    """Exit 1 where a file differs from its model, or the last release's readers or writers break.

    Example: optout schemas check
    """
    problems = [f"{each}: run `optout schemas export`" for each in _differences()]
    last = released.latest()
    problems += [
        f"{each} (released in {last.name}; make it optional, or a new version of the topic)"
        for each in released.broken(last)
    ]
    for problem in problems:
        click.echo(problem, err=True)
    sys.exit(1 if problems else 0)


def _differences() -> list[str]:
    differing = json_schema.differences(_FOLDER)
    if not asyncapi.FILE.exists() or asyncapi.FILE.read_text("utf-8") != asyncapi.text():
        differing.append(f"{asyncapi.FILE.name}: differs")
    return differing


@group.command("release")
@click.argument("version")
def release(version: str) -> None:
    """Keep the contract as it is now as that of VERSION, for later ones to be checked against.

    Example: optout schemas release 0.2.0
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise click.BadParameter("three numbers, such as 0.2.0", param_hint="VERSION")
    try:
        click.echo(released.keep(version))
    except FileExistsError:
        raise click.ClickException(f"{version} is released: that does not change") from None
