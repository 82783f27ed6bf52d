"""`optout dead-letters`: what was refused and why, and how a mended record goes back."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from typing import IO, Any

import click
import orjson

from processor import config
from processor.cli.common import as_json, print_json, run
from processor.config import Settings
from processor.core.messages import bare_number
from processor.errors import ConfigError
from processor.kafka.client import Outgoing, read_whole, redrive_all, writer
from processor.wire.dead_letters import CYCLES, own_headers, said
from processor.wire.topics import Topics


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
        async for line in _letters(settings):
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
    default=5,
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
        topic = Topics.under(settings.topic_prefix).dead_letters
        left = 0

        def back(record: Any) -> Outgoing | None:
            nonlocal left
            line = letter_of(record)
            if line["redrives"] < most:
                return sent_back(line)
            left += 1
            return None

        count = run(redrive_all(settings, topic, back))
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


async def _letters(settings: Settings) -> AsyncIterator[dict[str, Any]]:
    async for record in read_whole(settings, Topics.under(settings.topic_prefix).dead_letters):
        yield letter_of(record)


def letter_of(record: Any) -> dict[str, Any]:
    """A dead letter as a line that can be mended and sent back."""
    headers = own_headers(record.headers)
    return {
        "id": f"{record.partition}:{record.offset}",
        "topic": said(record.headers, "topic"),
        "partition": _number(said(record.headers, "partition"), -1),
        "offset": _number(said(record.headers, "offset"), -1),
        "reason": said(record.headers, "exception.message"),
        "redrives": max(_number((dict(headers).get(CYCLES) or b"").decode("latin-1"), 0), 0),
        "headers": [
            [name, None if value is None else value.decode("latin-1")]
            for name, value in headers
            if name != CYCLES
        ],
        **_bytes_as_text("key", record.key),
        **_bytes_as_text("value", record.value),
    }


def _number(text: str | None, otherwise: int) -> int:
    """What a header says; whoever wrote the record may have written it."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else otherwise


def _bytes_as_text(name: str, value: bytes | None) -> dict[str, Any]:
    try:
        return {name: None if value is None else value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(value or b"").decode()}


def _text_as_bytes(name: str, line: Mapping[str, Any]) -> bytes | None:
    value = line.get(name)
    if isinstance(value, (dict, list)):  # mended as JSON instead of as text
        return orjson.dumps(value)
    if isinstance(value, str):
        return value.encode()
    encoded = line.get(f"{name}_base64")
    return None if encoded is None else base64.b64decode(encoded)


def _parsed(name: str, number: int, text: bytes) -> Outgoing:
    try:
        return sent_back(orjson.loads(text))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            [f"{name}:{number}: no line of `dead-letters list --json` ({type(error).__name__})"]
        ) from None


def sent_back(line: Mapping[str, Any]) -> Outgoing:
    """The record that a line comes to, for the topic it was read from."""
    value = _text_as_bytes("value", line)
    headers = [
        (name, None if text is None else text.encode("latin-1")) for name, text in line["headers"]
    ]
    return Outgoing(
        topic=line["topic"],
        key=_key(value) or _text_as_bytes("key", line),
        value=value,
        headers=[*headers, (CYCLES, str(line["redrives"] + 1).encode())],
    )


def _key(value: bytes | None) -> bytes | None:
    """The key a record should have: its recipient's bare number, whatever kind it is."""
    try:
        fields = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict):
        return None
    name = "from" if "received_at" in fields else "to"
    recipient = fields.get("recipient", fields.get(name))
    return bare_number(recipient).encode() if isinstance(recipient, str) else None
