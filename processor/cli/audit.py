"""`optout audit`: compare an installation's topics with each other and with Redis."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import click

from processor import config
from processor.audit import Options, Report, StateRefused, audit, results
from processor.cli.common import UtcTime, as_json, print_json, progress_bar
from processor.config import Settings
from processor.wire.json_values import to_text

_SHOWN = 100


@click.command("audit")
@click.option("--since", "since_ms", type=UtcTime(), help="Default: where the last audit ended.")
@click.option("--until", "until_ms", type=UtcTime(), help="Default: to the end.")
@click.option(
    "--skew",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Seconds by which the brokers' clocks may differ.",
)
@click.option("--redis/--no-redis", "with_redis", default=True, help="Whether to read Redis, too.")
@click.option("--processes", type=click.IntRange(1, 256), help="Default: OPTOUT_AUDIT_PROCESSES.")
@click.option("--afresh", is_flag=True, help="Forget the last audit; begin at the topics' start.")
@click.option("--last", "show_last", is_flag=True, help="Print the last result; audit nothing.")
@as_json
def command(
    since_ms: int | None,
    until_ms: int | None,
    skew: float,
    with_redis: bool,
    processes: int | None,
    afresh: bool,
    show_last: bool,
    as_json: bool,
) -> None:
    """Look for lost, duplicate, reordered or contradictory events, and for leaked messages.

    Compares messages, commands, replies, changes, verdicts, deliveries and Redis with a small model
    of each recipient's history. It shares no code with the processor, changes nothing, and prints
    no numbers or message texts. Exit 1 if it finds something.

    A leak is a send that was allowed although a block was in force at the mark of its verdict. So
    is a send that was judged without a confirmation that existed when the send was written. A
    producer may put the mark of the last change it has seen into a header `after-mark`; then the
    mark decides instead of clocks.

    With OPTOUT_AUDIT_DIRECTORY, an audit goes on where the last one ended, and its result is kept.
    With --since or --until it begins afresh, and keeps nothing. Then messages are read from an hour
    and 1.5 times OPTOUT_DEDUPE_HOURS earlier, sends from an hour earlier. Changes are always read
    from the beginning, as a state is the sum of all changes.

    Example: optout audit --since 2026-11-01
    """
    settings = config.load()
    directory = Path(settings.audit_directory) if settings.audit_directory else None
    if show_last:
        result = _last(directory)
    else:
        is_single = since_ms is not None or until_ms is not None
        if directory is not None and afresh and not is_single:
            results.forget(directory)
        options = Options(
            None if is_single else directory, since_ms, until_ms, with_redis, round(1000 * skew)
        )
        result = _audited(settings, options, processes or settings.audit_processes)
    print_json(results.as_fields(result)) if as_json else _print(result)
    sys.exit(1 if result.violations else 0)


def _last(directory: Path | None) -> Report:
    if directory is None:
        raise click.UsageError("--last needs OPTOUT_AUDIT_DIRECTORY, where audits keep results")
    found = results.last(directory)
    if found is None:
        raise click.ClickException(f"{directory}: no audit has ended there; run `optout audit`")
    return found


def _audited(settings: Settings, options: Options, processes: int) -> Report:
    with progress_bar(0, "auditing") as bar:

        def on_records(read: int, more: int) -> None:
            bar.length = (bar.length or 0) + more
            bar.update(read)

        try:
            return asyncio.run(audit(settings, options, processes=processes, on_records=on_records))
        except StateRefused as error:
            raise click.ClickException(str(error)) from error


def _print(result: Report) -> None:
    for name, count in sorted(result.counts.items()):
        click.echo(f"{count:>12,}  {name.replace('_', ' ')}")
    for violation in result.violations[:_SHOWN]:
        click.echo(f"{violation.kind}: {violation.where}: {violation.what}")
    click.echo(f"audited up to {to_text(result.until_ms)}")
    click.echo(_said(result.counts))


def _said(counts: Mapping[str, int]) -> str:
    found = Counter(
        {
            name.removeprefix("found_"): count
            for name, count in counts.items()
            if name.startswith("found_")
        }
    )
    said = ", ".join(f"{count:,} {kind}" for kind, count in found.most_common())
    return said or "nothing lost, duplicated, reordered, contradictory or leaked"
