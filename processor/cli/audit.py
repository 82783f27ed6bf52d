"""`optout audit`: hold an installation's topics and Redis against each other."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

import click

from processor import config
from processor.audit import STEPS, Report, Violation, audit
from processor.cli.common import UtcTime, as_json, print_json, progress_bar

_SHOWN = 100


@click.command("audit")
@click.option("--since", "since_ms", type=UtcTime(), help="Default: from the beginning.")
@click.option("--until", "until_ms", type=UtcTime(), help="Default: to the end.")
@click.option(
    "--skew",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Seconds by which the clocks of those who write records may differ.",
)
@click.option("--redis/--no-redis", "with_redis", default=True, help="Whether Redis is read, too.")
@as_json
def command(
    since_ms: int | None, until_ms: int | None, skew: float, with_redis: bool, as_json: bool
) -> None:
    """Look for events lost, doubled, out of order or contradictory, and for leaked messages.

    Holds messages, commands, replies, changes, verdicts and Redis against a small model of each
    recipient's history, with code of its own; changes nothing, and prints no number and no text.
    Exit 1 where it finds something.

    A leak is a send that was allowed although a block stood at the mark its verdict carries, or
    that was judged before a confirmation that was there when the send was written. A producer that
    puts the mark of the last change it has seen into a header `after-mark` is held to that instead
    of to clocks.

    With --since, sends, messages and replies are read from an hour before it on, and always to the
    end; changes and commands from their beginning, as a state is the sum of all changes. Senders
    are taken to be in the services that have them now. One partition at a time is in memory: about
    1 kB a send and a match in the range, 1 kB a change ever; a million sends take a minute or two.

    Example: optout audit --since 2026-11-01
    """
    settings = config.load()
    counts: Counter[str] = Counter()
    violations: list[Violation] = []
    with progress_bar(settings.partitions * STEPS, "auditing") as bar:
        for partition in range(settings.partitions):
            report = asyncio.run(
                audit(
                    settings,
                    since_ms=since_ms,
                    until_ms=until_ms,
                    with_redis=with_redis,
                    skew_ms=round(1000 * skew),
                    partitions=[partition],
                    on_step=lambda: bar.update(1),
                )
            )
            counts.update(report.counts)
            violations += report.violations
    found = Report(counts, violations)
    print_json(_data(found)) if as_json else _print(found)
    sys.exit(1 if violations else 0)


def _data(report: Report) -> dict[str, object]:
    violations = [{"kind": v.kind, "where": v.where, "what": v.what} for v in report.violations]
    return {"counts": report.counts, "violations": violations}


def _print(report: Report) -> None:
    for name, count in sorted(report.counts.items()):
        click.echo(f"{count:>12,}  {name.replace('_', ' ')}")
    for violation in report.violations[:_SHOWN]:
        click.echo(f"{violation.kind}: {violation.where}: {violation.what}")
    kinds = Counter(violation.kind for violation in report.violations)
    said = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    click.echo(said or "nothing lost, doubled, reordered, contradictory or leaked")
