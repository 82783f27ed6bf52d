"""`optout key`: the key of every record about a recipient."""

from __future__ import annotations

import sys

import click

from processor.core.addresses import subscriber_key
from processor.wire.spellings import NoAddress, recipient_of


@click.command("key")
@click.argument("addresses", metavar="ADDRESS…", nargs=-1, required=True)
@click.option("--country", help="Country of numbers without a country's code, such as US.")
def command(addresses: tuple[str, ...], country: str | None) -> None:
    """Print the subscriber key of each ADDRESS: the key that its records have in every topic.

    A number may have spaces, dots, dashes and brackets. Exit 1 if an address cannot be read.

    Example: optout key whatsapp:+5215555550101
    """
    bad = False
    for address in addresses:
        try:
            click.echo(subscriber_key(recipient_of(address, country=country, national=True)))
        except NoAddress as error:
            click.echo(f"{address!r} {error}", err=True)
            bad = True
    sys.exit(bad)
