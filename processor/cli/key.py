"""`optout key`: the key of every record about a recipient."""

from __future__ import annotations

import click

from processor.cli.addresses import Recipient
from processor.core.addresses import subscriber_key


@click.command("key")
@click.argument("addresses", metavar="ADDRESS…", type=Recipient(), nargs=-1, required=True)
def command(addresses: tuple[str, ...]) -> None:
    """Print the subscriber key of each ADDRESS: the key that its records have in every topic.

    Example: optout key whatsapp:+5215555550101
    """
    for address in addresses:
        click.echo(subscriber_key(address))
