"""What the commands share: how data is printed, how a file is opened."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import click
import orjson

_T = TypeVar("_T")

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON lines for programs.")


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a command's work to its end."""
    return asyncio.run(work)


def progress(work: Iterable[_T], label: str) -> AbstractContextManager[Iterator[_T]]:
    """A progress bar over work, where a terminal is there to see it."""
    return click.progressbar(work, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())


def print_json(value: Any) -> None:
    """Print one JSON line."""
    click.echo(orjson.dumps(value))
