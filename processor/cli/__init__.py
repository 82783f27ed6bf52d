"""The command line: `optout worker`, `decide`, `services`, `blocks`, …; exit 0, 1 or 2."""

from __future__ import annotations

import logging
import os
import sys

import click

from processor.cli import (
    accounts,
    api,
    audit,
    backtest,
    block_files,
    blocks,
    carriers,
    dead_letters,
    decide,
    doctor,
    key,
    links,
    numbers,
    offsets,
    schemas,
    services,
    settings,
    simulate,
    suspected,
    topics,
    up,
    worker,
)
from processor.errors import ConfigError, RetryableError


class _Main(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        # Commands print their own errors; a worker sets up its own logging.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        if os.environ.get("NO_COLOR"):  # no-color.org; click colours terminals only
            ctx.color = False
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            for problem in error.problems:
                click.echo(problem, err=True)
            sys.exit(2)
        except RetryableError as error:
            click.echo(str(error), err=True)
            sys.exit(1)


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="optout")
def main() -> None:
    """Keyword opt-out for messaging: nothing lost, nothing twice, nothing leaked.

    Settings are environment variables with OPTOUT_ before them; `optout settings` lists them.
    """


for command in (block_files.history, block_files.export, block_files.import_, links.command):
    blocks.group.add_command(command)

for command in (
    accounts.group,
    api.command,
    audit.command,
    backtest.command,
    blocks.group,
    carriers.group,
    dead_letters.group,
    decide.command,
    doctor.command,
    key.command,
    numbers.group,
    offsets.group,
    schemas.group,
    services.group,
    settings.command,
    simulate.command,
    suspected.group,
    topics.group,
    up.command,
    worker.command,
):
    main.add_command(command)
