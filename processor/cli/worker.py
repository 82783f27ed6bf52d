"""`optout worker`: run the lanes in Faust's worker."""

from __future__ import annotations

import sys

import click


@click.command("worker", context_settings={"ignore_unknown_options": True})
@click.option("--quiet", is_flag=True, help="Log warnings only, and no banner.")
@click.argument("faust_options", nargs=-1, type=click.UNPROCESSED)
def command(quiet: bool, faust_options: tuple[str, ...]) -> None:
    """Run the lanes and the rates agent until SIGTERM; work in progress is finished.

    The same as `faust -A processor.app worker`, and accepts the same options. Any number of workers
    may run, on one host or many: they share the partitions.

    Example: OPTOUT_ROLES=gate optout worker
    """
    # Imported here, as Faust is slow to import and only this command needs it.
    from faust.cli.faust import cli

    from processor import logs
    from processor.app import app

    if quiet:
        app.conf.logging_config = logs.configuration(quiet=True)
    banner = ["--quiet"] if quiet else []
    sys.argv = ["faust", *banner, "-A", "processor.app", "worker", "-l", "info", *faust_options]
    cli()
