"""`optout doctor`: examine a whole installation."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import get_args

import click

from processor import config
from processor.cli.common import as_json, print_json, run
from processor.config import Settings
from processor.doctor.checks import CHECKS
from processor.doctor.examination import Examination, Role, examine
from processor.doctor.findings import Finding, Result, State, is_well
from processor.errors import ConfigError
from processor.stores.redis_client import redis_client

_COLOURS = {State.OK: "green", State.WRONG: "red", State.SKIPPED: "yellow"}


@click.command("doctor")
@click.option(
    "--role",
    type=click.Choice(get_args(Role)),
    default="operator",
    show_default=True,
    help="The role whose rights this process's users should have.",
)
@click.option(
    "--limit",
    "limit_s",
    type=click.FloatRange(1, 3600),
    default=30.0,
    show_default=True,
    help="Seconds for each check.",
)
@as_json
def command(role: Role, limit_s: float, as_json: bool) -> None:
    """Check servers, topics, rights, clocks, keys, versions, services, webhooks and carriers.

    Each is OK, or the line says what is wrong and what to do. Changes nothing. Run it where workers
    run, since it tries the network from here. Exit 1 if something is wrong.

    Example: optout doctor --role gate --json
    """
    try:
        results = run(_examine(config.load(), role, limit_s=limit_s, as_json=as_json))
    except ConfigError as error:
        wrong = tuple(Finding(problem, "") for problem in error.problems)
        _print(Result("settings", State.WRONG, "", wrong, 0), as_json=as_json)
        sys.exit(1)
    if not as_json:
        _print_end(results)
    sys.exit(0 if is_well(results) else 1)


async def _examine(
    settings: Settings, role: Role, *, limit_s: float, as_json: bool
) -> Sequence[Result]:
    """Run every check, and print each result as it comes."""
    at = Examination(settings, role, redis_client(settings), _report)
    results = []
    try:
        async for result in examine(at, CHECKS, limit_s=limit_s):
            _clear()
            _print(result, as_json=as_json)
            results.append(result)
    finally:
        _clear()
        await at.redis.close()
    return results


def _report(words: str) -> None:
    """Show on a terminal how far the running check is; the next line takes its place."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        click.echo(f"\r{f'{words} …'[:width]:<{width}}", nl=False, err=True)


def _clear() -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{'':<{shutil.get_terminal_size().columns - 1}}\r", nl=False, err=True)


def _print(result: Result, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "check": result.name,
                "state": result.state,
                "fact": result.fact,
                "findings": [asdict(one) for one in result.findings],
                "took_ms": result.took_ms,
            }
        )
        return
    state = "OK" if result.state is State.OK else result.state.value
    shown = click.style(state, fg=_COLOURS[result.state], bold=True)
    space = " " * (8 - len(state)) if result.fact else ""
    click.echo(f"{result.name:<12} {shown}{space}{result.fact}")
    for one in result.findings:
        sign = click.style("wrong", fg="red") if one.is_wrong else click.style("note", fg="yellow")
        click.echo(f"    {sign}: {one.what}")
        if one.remedy:
            click.echo(f"        do: {one.remedy}")


def _print_end(results: Sequence[Result]) -> None:
    count = sum(one.is_wrong for result in results for one in result.findings)
    if is_well(results):
        click.echo(click.style("\nall is well", fg="green", bold=True))
    else:
        things = "thing is" if count == 1 else "things are"
        click.echo(click.style(f"\n{count} {things} wrong", fg="red", bold=True))
