"""`optout schemas`: write and check JSON Schema files and the AsyncAPI document."""

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
    """Write a JSON Schema file for each topic, and asyncapi.yaml, into FOLDER.

    The default for FOLDER is the place where this project keeps them.

    Example: optout schemas export contracts/
    """
    for path in json_schema.export(folder or _FOLDER):
        click.echo(path)
    document = folder / asyncapi.FILE.name if folder else asyncapi.FILE
    document.write_text(asyncapi.text(), encoding="utf-8")
    click.echo(document)


@group.command("check")
def check() -> None:
    """Exit 1 if a file differs from its model, or breaks readers or writers of the last release.

    Example: optout schemas check
    """
    problems = [f"{each}: run `optout schemas export`" for each in _differences()]
    last = released.latest()
    problems += [
        f"{each} (released in {last.name}; make it optional, or add a new version of the topic)"
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
    """Keep today's contract as that of VERSION, to check later contracts against it.

    Example: optout schemas release 0.2.0
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise click.BadParameter("must be three numbers, such as 0.2.0", param_hint="VERSION")
    try:
        click.echo(released.keep(version))
    except FileExistsError:
        raise click.ClickException(
            f"{version} is released already, so its contract cannot change"
        ) from None
