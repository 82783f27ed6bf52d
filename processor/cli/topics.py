"""`optout topics`: create topics, check their settings, move to new topics."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict

import click

from processor import config
from processor.cli import topics_move
from processor.cli.common import as_json, print_json, run
from processor.kafka.topics import topic_admin
from processor.kafka.topics.topic_plan import Consequence, TopicProblem

_WORDS = {
    Consequence.WAIT: "error",
    Consequence.REFUSE: "error",
    Consequence.WARN: "warning",
    Consequence.NOTE: "note",
}


@click.group("topics")
def group() -> None:
    """Create the topics in Kafka, check existing topics, or move to new topics."""


group.add_command(topics_move.move)


@group.command("create")
@as_json
def create(as_json: bool) -> None:
    """Create missing topics, and correct the settings of existing topics.

    Partition counts stay, and so does a retention that is longer than planned; nothing is deleted.
    Exit 1 if a problem is left.

    Example: OPTOUT_PARTITIONS=48 optout topics create
    """
    made = run(topic_admin.create(config.load()))
    if as_json:
        print_json(asdict(made) | _as_values(made.problems))
    else:
        for name in made.created:
            click.echo(f"created {name}")
        for name, changes in made.mended.items():
            click.echo(f"corrected {name}: {', '.join(map(str, changes))}")
        created = len(made.created) or "nothing"
        click.echo(f"{created} created, {len(made.mended) or 'nothing'} corrected")
        for why in (*made.lost, *made.refused):
            click.echo(why, err=True)
        _print(made.problems)
    sys.exit(1 if _are_wrong(made.problems) else 0)


@group.command("check")
@as_json
def check(as_json: bool) -> None:
    """Check names, partition counts and settings; exit 1 if something is wrong.

    Worker and API do not start on an error. They start on a warning, and log it. A note is
    information only, and does not cause exit 1.

    Example: optout topics check
    """
    problems = run(topic_admin.check(config.load()))
    if as_json:
        print_json(_as_values(problems))
    else:
        _print(problems)
        if not _are_wrong(problems):
            click.echo("all topics are correct")
    sys.exit(1 if _are_wrong(problems) else 0)


def _are_wrong(problems: Sequence[TopicProblem]) -> bool:
    return any(one.consequence is not Consequence.NOTE for one in problems)


def _print(problems: Sequence[TopicProblem]) -> None:
    for problem in problems:
        click.echo(f"{_WORDS[problem.consequence]}: {problem}", err=True)


def _as_values(problems: Sequence[TopicProblem]) -> dict[str, object]:
    """Make JSON for programs; ``consequence`` is wait, refuse, warn or note."""
    values = [
        {
            "topic": one.place,
            "code": one.code.value,
            "consequence": one.consequence.value,
            "what": one.what,
            "remedy": one.remedy,
        }
        for one in problems
    ]
    return {"problems": values}
