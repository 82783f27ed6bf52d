"""`optout audit`: compare an installation's topics with each other and with Redis."""

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
    help="Seconds by which the clocks of the record writers may differ.",
)
@click.option("--redis/--no-redis", "with_redis", default=True, help="Whether to read Redis, too.")
@as_json
def command(
    since_ms: int | None, until_ms: int | None, skew: float, with_redis: bool, as_json: bool
) -> None:
    """Look for lost, duplicate, reordered or contradictory events, and for leaked messages.

    Compares messages, commands, replies, changes, verdicts and Redis with a small model of each
    recipient's history. It shares no code with the processor, changes nothing, and prints no
    numbers or message texts. Exit 1 if it finds something.

    A leak is a send that was allowed although a block was in force at the mark of its verdict. So
    is a send that was judged without a confirmation that existed when the send was written. A
    producer may put the mark of the last change it has seen into a header `after-mark`; then the
    mark decides instead of clocks.

    With --since, sends, messages and replies are read from an hour earlier, and always to the end.
    Changes and commands are read from the beginning, as a state is the sum of all changes. Senders
    are assumed to be in the services that have them now.

    One partition at a time is in memory: about 1 kB for each send and match in the range, and 1 kB
    for each change ever made. A million sends take a minute or two.

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
    click.echo(said or "nothing lost, duplicated, reordered, contradictory or leaked")
