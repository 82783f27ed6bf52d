"""`optout dead-letters`: what was refused and why, and how a mended record goes back."""

from __future__ import annotations

from typing import IO

import click
import orjson

from processor import config
from processor.cli.common import as_json, print_json, run
from processor.config import Settings
from processor.errors import ConfigError
from processor.kafka import dead_letters
from processor.kafka.client import Outgoing, writer


@click.group("dead-letters")
def group() -> None:
    """List records that were refused, and send them back, mended or as they were."""


@group.command("list")
@as_json
def list_(as_json: bool) -> None:
    """List every dead letter with where it came from and why it was refused.

    --json prints the records themselves, for mending: edit `value`, then `redrive`.

    Example: optout dead-letters list --json > refused.jsonl
    """
    settings = config.load()

    async def work() -> int:
        count = 0
        async for line, _ in dead_letters.letters(settings):
            count += 1
            if as_json:
                print_json(line)
            else:
                place = f"{line['topic']}[{line['partition']}]@{line['offset']}"
                click.echo(f"{line['id']:<10} {place}  {line['reason']}")
        return count

    count = run(work())
    if not as_json:
        click.echo(f"{count} dead letters", err=True)


@group.command("redrive")
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--all", "everything", is_flag=True, help="Send all that were not sent back yet.")
@click.option(
    "--most",
    type=click.IntRange(1),
    default=dead_letters.MOST,
    show_default=True,
    help="With --all: leave a letter that was sent back that often already; --all does not come"
    " back to it, a FILE does.",
)
def redrive(file: IO[bytes] | None, everything: bool, most: int) -> None:
    """Send dead letters back to the topic they were read from.

    FILE (- for standard input) holds lines of `dead-letters list --json`, mended; the key is made
    anew from a mended value. --all sends every letter as it was, each once: after its cause is
    mended elsewhere.

    Example: optout dead-letters redrive refused.jsonl
    """
    if (file is None) != everything:
        raise click.UsageError("name a FILE, or say --all")
    settings = config.load()
    if file is None:
        count, left, _ = run(dead_letters.redrive(settings, lambda line: True, most=most))
        if left:
            click.echo(
                f"{left} left: sent back {most} times already; mend them, and redrive the FILE",
                err=True,
            )
    else:
        name = getattr(file, "name", "-")
        records = [_parsed(name, number, line) for number, line in enumerate(file, 1)]
        run(_send(settings, records))
        count = len(records)
    click.echo(f"{count} sent back")


async def _send(settings: Settings, records: list[Outgoing]) -> None:
    async with writer(settings) as out:
        await out.send_all(records)


def _parsed(name: str, number: int, text: bytes) -> Outgoing:
    try:
        return dead_letters.sent_back(orjson.loads(text))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            [f"{name}:{number}: no line of `dead-letters list --json` ({type(error).__name__})"]
        ) from None
