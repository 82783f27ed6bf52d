"""`optout schemas`: the JSON Schema files of the topics."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from schemas import json_schema

_FOLDER = Path(json_schema.__file__).parent / "json"


@click.group("schemas")
def group() -> None:
    """Write the topics' JSON Schema files, or check that they are what the models make."""


@group.command("export")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=_FOLDER)
def export(folder: Path) -> None:
    """Write one JSON Schema file a topic into FOLDER.

    Example: optout schemas export contracts/
    """
    for path in json_schema.export(folder):
        click.echo(path)


@group.command("check")
def check() -> None:
    """Exit 1 where a file differs from its model.

    Example: optout schemas check
    """
    differing = json_schema.differences(_FOLDER)
    for difference in differing:
        click.echo(f"{difference}: run `optout schemas export`", err=True)
    sys.exit(1 if differing else 0)
