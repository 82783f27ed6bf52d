"""Helpers that the commands share: printing data, reading files, showing progress."""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import IO, Protocol, TypeVar

import click
import orjson

from processor.wire.json_values import to_ms

_T = TypeVar("_T")
_LONGEST_ACTOR = 64  # characters, as the topics' schemas allow
_TOLD_BYTES = 1 << 17  # between two updates of a progress bar


class Steps(Protocol):
    """Counts steps; a progress bar."""

    length: int | None

    def update(self, n_steps: int) -> None:
        """Count some more steps."""
        ...


class UtcTime(click.ParamType):
    """A time on the command line: a date, or RFC 3339; UTC if it has no offset."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the time in milliseconds since 1970; see ``click.ParamType``."""
        try:
            told = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-01-31 or 2026-01-31T12:00:00Z")
        at_ms = to_ms(told if told.tzinfo else told.replace(tzinfo=UTC))
        if at_ms < 0:
            self.fail(f"{value!r} is before 1970")
        return at_ms


def actor() -> str:
    """Name the user of a command as histories do: ``cli/`` and the name of the system's user."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:  # a container's user may have no name
        name = str(number)
    return f"cli/{name}"[:_LONGEST_ACTOR]


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON lines for programs.")


def run(work: Coroutine[object, object, _T]) -> _T:
    """Run a command's work to its end."""
    return asyncio.run(work)


def progress(work: Iterable[_T], label: str) -> AbstractContextManager[Iterator[_T]]:
    """Show a progress bar over work on a terminal; nothing elsewhere."""
    return click.progressbar(work, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())


def progress_bar(length: int, label: str) -> AbstractContextManager[Steps]:
    """Show a progress bar of ``length`` steps on a terminal; nothing elsewhere."""
    return click.progressbar(
        length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()
    )


@contextmanager
def lines_of(file: IO[bytes], label: str) -> Iterator[Iterator[bytes]]:
    """Yield the lines of a file; on a terminal, show a progress bar by the file's size."""
    with progress_bar(_size(file), label) as bar:

        def lines() -> Iterator[bytes]:
            read = 0
            for line in file:
                read += len(line)
                if read > _TOLD_BYTES:
                    bar.update(read)
                    read = 0
                yield line
            bar.update(read)

        yield lines()


def _size(file: IO[bytes]) -> int:
    try:
        return os.fstat(file.fileno()).st_size  # 0 for a pipe
    except OSError:  # not a file of the operating system
        return 0


def print_json(value: object) -> None:
    """Print one JSON line."""
    click.echo(orjson.dumps(value))
