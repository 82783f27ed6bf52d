"""`optout dead-letters`: list refused records with their reasons, and send them back."""

from __future__ import annotations

from contextlib import aclosing
from typing import IO

import click
import orjson

from processor import config
from processor.cli.common import as_json, print_json, run
from processor.config import Settings
from processor.errors import ConfigError
from processor.json_types import JsonObject
from processor.kafka.topics import dead_letters
from processor.kafka.writing import Outgoing, writer


@click.group("dead-letters")
def group() -> None:
    """List refused records, and send them back, corrected or unchanged."""


@group.command("list")
@as_json
def list_(as_json: bool) -> None:
    """List every dead letter with where it came from and why it was refused.

    --json prints the records themselves, to be corrected: edit `value`, then `redrive`.

    Example: optout dead-letters list --json > refused.jsonl
    """
    settings = config.load()

    async def work() -> int:
        count = 0
        async with aclosing(dead_letters.letters(settings)) as letters:
            async for line, _ in letters:
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
@click.option("--all", "everything", is_flag=True, help="Send all that were not sent back before.")
@click.option(
    "--most",
    type=click.IntRange(1),
    default=dead_letters.MOST,
    show_default=True,
    help="Leave a letter that was sent back this many times already; only a FILE and --id send it"
    " again.",
)
@click.option("--topic", help="Send those that were read from this topic; give its full name.")
@click.option("--stage", help="Send those that this stage refused.")
@click.option("--reason", help="Send those that were refused for this reason.")
@click.option("--id", help="Send this letter, even if it was sent back before: partition:offset.")
def redrive(file: IO[bytes] | None, everything: bool, most: int, **given: str | None) -> None:
    """Send dead letters back to the topic they were read from.

    FILE (- for standard input) has corrected lines of `dead-letters list --json`; the key is
    derived from the corrected value. A line with a `reference` and no `value` is sent back as the
    record it refers to. --all sends each letter once and unchanged: use it after fixing the cause.
    --topic, --stage, --reason and --id select some of all letters.

    Example: optout dead-letters redrive refused.jsonl
    """
    wanted = {name: value for name, value in given.items() if value is not None}
    if (file is None) != (everything or bool(wanted)):
        raise click.UsageError(
            "name a FILE, give --all, or select by --topic, --stage, --reason and --id"
        )
    settings = config.load()
    if file is None:
        chosen = dead_letters.choice_of(wanted)
        limit = None if "id" in wanted else most
        done = run(dead_letters.redrive(settings, chosen, most=limit))
        count = done.sent
        for left, why in (
            (
                done.older,
                "older than the offsets of a redrive, which Kafka deletes in time: they may have "
                "been sent back already; redrive the others as a FILE",
            ),
            (
                done.gone,
                "Kafka no longer has the records they refer to, or they are batches that inflate "
                "too far; give each line a `value`, and redrive the FILE",
            ),
            (done.left, f"sent back {most} times already; correct them, and redrive the FILE"),
        ):
            if left:
                click.echo(f"{left} left: {why}", err=True)
    else:
        name = getattr(file, "name", "-")
        lines = [_parsed(name, number, line) for number, line in enumerate(file, 1)]
        run(_send(settings, name, lines))
        count = len(lines)
    click.echo(f"{count} sent back")


async def _send(settings: Settings, name: str, lines: list[JsonObject]) -> None:
    records: list[Outgoing] = []
    problems: list[str] = []
    for number, line in enumerate(lines, 1):
        whole = None
        if "reference" in line and line.get("value") is None:
            whole = await dead_letters.referred_to(settings, line["reference"])
            if whole is None:
                problems.append(
                    f"{name}:{number}: Kafka no longer has the record this letter refers to; give "
                    "the line a `value`, or leave it out"
                )
        records.append(dead_letters.sent_back(line, whole))
    if problems:
        raise ConfigError(problems)
    async with writer(settings, max_request_size=1 << 26, compression_type="gzip") as out:
        await out.send_all(records)


def _parsed(name: str, number: int, text: bytes) -> JsonObject:
    try:
        line: JsonObject = orjson.loads(text)
        dead_letters.sent_back(line)
        return line
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            [f"{name}:{number}: not a line of `dead-letters list --json` ({type(error).__name__})"]
        ) from None
