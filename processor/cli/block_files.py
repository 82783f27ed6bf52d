"""`optout blocks history|export|import`: block list files, and the history of a recipient."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

import click
import orjson
from pydantic import ValidationError

from processor import config
from processor.cli.addresses import Recipient
from processor.cli.blocks import open_store
from processor.cli.common import actor as user
from processor.cli.common import as_json, lines_of, print_json, progress, run
from processor.cli.import_reading import Reading
from processor.cli.person_history import history_of, links_of
from processor.config import Settings
from processor.core.addresses import subscriber_key
from processor.core.partitions import partition_of
from processor.errors import ConfigError, RecordError
from processor.histories import block_changes
from processor.json_types import JsonObject
from processor.kafka.writing import bulk_writer
from processor.stores.redis_client import redis_client
from processor.wire import blocks as wire_blocks
from processor.wire.block_rows import COLUMNS, Rows, command_of, new_import_id, row_of
from processor.wire.json_values import is_sid, reason
from processor.wire.records import Record
from processor.wire.topics import Topics
from schemas.block_change import BlockChange

_BATCH = 5_000
_ALL = 1 << 30
_SLOW = 100_000  # changes
_formats = click.option(
    "--format",
    "file_format",
    type=click.Choice(["csv", "jsonl"]),
    help="Default: by the file's name, else jsonl.",
)


class ImportId(click.ParamType):
    """The id of an import on the command line."""

    name = "id"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See ``click.ParamType``."""
        if not is_sid(value):
            self.fail("1 to 64 letters, digits and _ . : -")
        return value


@click.command("history")
@click.argument("recipient", type=Recipient())
@as_json
def history(recipient: str, as_json: bool) -> None:
    """Show every change of the block list for RECIPIENT, oldest first, with its cause.

    Of a user id that is linked to a number, the number's changes on WhatsApp are among them.

    Example: optout blocks history +15551234567
    """
    settings = config.load()

    async def work() -> int:
        count = 0
        for record in reversed(await _history_of(settings, subscriber_key(recipient))):
            try:
                BlockChange.model_validate_json(record.value or b"")
            except ValidationError as error:
                _pass_over(record, error)
                continue
            count += 1
            change = orjson.loads(record.value)
            if as_json:
                print_json(change)
                continue
            cause = change["cause"]
            why = cause["keyword"] or cause["reason"] or ""
            who = f" by {cause['actor']}" if cause.get("actor") else ""
            again = ", again" if change["previous"] and change["blocked"] else ""
            where = change["messaging_service_sid"] or change["sender"] or ""
            click.echo(
                f"{change['at']}  {'blocked  ' if change['blocked'] else 'unblocked'}  "
                f"{change['account_sid']}  {change['scope']} {where}".rstrip()
                + f"  {cause['source']} {why!r}{who} ({cause['id']}){again}"
            )
        return count

    if not run(work()) and not as_json:
        click.echo(f"no changes for {recipient}")


def _pass_over(record: Record, error: Exception) -> None:
    place = f"{record.topic}[{record.partition}]@{record.offset}"
    match error:
        case ValidationError():
            why = reason(error)
        case RecordError():
            why = str(error)
        case _:
            why = type(error).__name__  # the message may quote the record
    click.echo(f"{place}: skipped: {why}", err=True)


async def _history_of(settings: Settings, subscriber: str) -> Sequence[Record]:
    """Read the records about a person, newest first."""
    redis = redis_client(settings)
    changes = block_changes(settings, redis, patient=True, refuse=_pass_over)
    looked_at = 0

    async def newest(subject: str, account_sid: str | None) -> Sequence[Record]:
        nonlocal looked_at
        partition = partition_of(subject.encode(), settings.partitions)
        found = await changes.newest(partition, subject, account_sid, most=_ALL)
        looked_at += found.read - len(found.records)
        return found.records

    try:
        async with open_store(settings) as store:
            links = await links_of(store, settings.partitions, subscriber)
        records = await history_of(newest, subscriber, links)
    finally:
        await changes.close()
        await redis.close()
    if looked_at > _SLOW:
        click.echo(
            f"{looked_at + len(records)} changes were read, as the API, which indexes them, is not "
            "running or is still indexing; with the index this takes less than a second",
            err=True,
        )
    return records


@click.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@_formats
def export(file: Path, file_format: str | None) -> None:
    """Write every block to FILE (- for standard output), as CSV or JSON lines.

    Example: optout blocks export blocked.csv
    """
    settings = config.load()
    as_csv = (file_format or file.suffix.lstrip(".")) == "csv"

    async def work(out: IO[str]) -> int:
        count = 0
        if as_csv:
            csv.DictWriter(out, COLUMNS).writeheader()
        async with open_store(settings) as store:
            with progress(range(settings.partitions), "exporting") as bar:
                for partition in bar:
                    async for key, value in store.entries(partition):
                        for block in wire_blocks.listed(value):
                            line = wire_blocks.line_of(key, block)
                            count += 1
                            if as_csv:
                                csv.DictWriter(out, COLUMNS).writerow(row_of(line))
                            else:
                                out.write(orjson.dumps(line).decode() + "\n")
        return count

    try:
        with click.open_file(str(file), "w", encoding="utf-8") as out:
            count = run(work(out))
    except BrokenPipeError:
        raise  # the reader wants no more
    except OSError as error:
        raise ConfigError([f"{file}: {error.strerror or error}"]) from None
    click.echo(f"{count:,} blocks written", err=True)


@click.command("import")
@click.argument("file", type=click.File("rb"))
@_formats
@click.option("--account-sid", help="For rows that name no account.")
@click.option("--source", help="The source of rows that name none.")
@click.option("--reason", help="For rows that give none; needed to lift recipients' own blocks.")
@click.option("--actor", help="Importing user, kept in the history; default: cli/<you>.")
@click.option("--country", help="Country of numbers without a country's code, such as US.")
@click.option("--dry-run", is_flag=True, help="Show what each row would become; send nothing.")
@click.option(
    "--import-id",
    type=ImportId(),
    default=new_import_id,
    show_default="a new id",
    help="Id of an interrupted import, to resume it.",
)
def import_(
    file: IO[bytes],
    file_format: str | None,
    account_sid: str | None,
    source: str | None,
    reason: str | None,
    actor: str | None,
    country: str | None,
    dry_run: bool,
    import_id: str,
) -> None:
    """Block (or unblock, by a column `blocked`) every recipient of FILE, as CSV or JSON lines.

    A row is one line. Spaces, dots, dashes and brackets in a number do not count. Numbers without a
    country's code need --country or a column `country`. A number with two readings is named and
    left out. If rows block and unblock one recipient, the block counts.

    A row without a scope gets that of the service or sender it names, else
    OPTOUT_BLOCK_SCOPE. Bad rows are named and left out, and good rows are sent as commands; exit 1
    if any row was bad. The history keeps columns `source` and `at` as claims of the file.

    Each import has an id, which is printed. Importing the same file again is another import and
    takes effect again. To resume an interrupted import, give its --import-id and the whole file
    within OPTOUT_DEDUPE_HOURS: rows already carried out are skipped, even if a START came since.

    Example: optout blocks import blocked.csv --account-sid AC1
    """
    settings = config.load()
    as_csv = (file_format or Path(file.name).suffix.lstrip(".")) == "csv"
    defaults = {
        "account_sid": account_sid,
        "scope": settings.block_scope.value,
        "source": source,
        "reason": reason,
        "actor": actor or user(),
    }
    reading = Reading(
        file.name, partial(command_of, defaults=defaults, import_id=import_id, country=country)
    )
    if not dry_run:
        click.echo(f"import {import_id}; to resume it, add --import-id {import_id}", err=True)
    with lines_of(file, "importing") as lines:
        rows = Rows(as_csv=as_csv, name=file.name).of(lines)
        if dry_run:
            reading.show(rows)
        else:
            run(_send(settings, reading.commands(rows)))
    done = "would be" if dry_run else "sent as"
    click.echo(f"{reading.good:,} rows {done} commands, {reading.bad:,} bad rows named", err=True)
    sys.exit(1 if reading.bad else 0)


async def _send(settings: Settings, commands: Iterator[JsonObject]) -> None:
    topic = Topics.under(settings.topic_prefix).consent_commands
    async with bulk_writer(settings, topic) as out:
        while some := list(islice(commands, _BATCH)):
            await out.send([(one["recipient"].encode(), orjson.dumps(one)) for one in some])
