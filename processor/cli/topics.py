"""`optout topics`: make the topics, see that they are as they should be, move to others."""

from __future__ import annotations

import sys

import click

from processor import config
from processor.cli import topics_move
from processor.cli.common import as_json, print_json, run
from processor.config import Settings
from processor.kafka import topic_admin


@click.group("topics")
def group() -> None:
    """Create the topics in Kafka, check those that exist, or move to others."""


group.add_command(topics_move.move)


@group.command("create")
@as_json
def create(as_json: bool) -> None:
    """Create every topic that is missing; those that exist are left as they are, and checked.

    Exit 1 where one of those is not as it should be.

    Example: OPTOUT_PARTITIONS=48 optout topics create
    """
    created, problems = run(_create_and_check(config.load()))
    if as_json:
        print_json({"created": created, "problems": problems})
    else:
        for name in created:
            click.echo(f"created {name}")
        click.echo(f"{len(created)} topics created, the others were there")
        for problem in problems:
            click.echo(problem, err=True)
    sys.exit(1 if problems else 0)


async def _create_and_check(settings: Settings) -> tuple[list[str], list[str]]:
    return await topic_admin.create(settings), await topic_admin.check(settings)


@group.command("check")
@as_json
def check(as_json: bool) -> None:
    """Check names and partition counts; exit 1 where something is wrong.

    Example: optout topics check
    """
    problems = run(topic_admin.check(config.load()))
    if as_json:
        print_json({"problems": problems})
    else:
        for problem in problems:
            click.echo(problem, err=True)
        if not problems:
            click.echo("all topics are as they should be")
    sys.exit(1 if problems else 0)
