"""`optout blocks link`: say that a number and a WhatsApp user id are one person's (R32)."""

from __future__ import annotations

import sys

import click

from processor import clocks, config
from processor.cli.addresses import Recipient
from processor.cli.blocks import give, open_store
from processor.cli.common import actor as user
from processor.cli.common import run
from processor.config import Settings
from processor.core.addresses import subscriber_key
from processor.core.links import CONTRADICTS
from processor.core.messages import LinkCommand, entry_of, groups_of
from processor.core.partitions import partition_of
from processor.errors import ConfigError
from processor.wire import blocks as wire_blocks
from processor.wire import consent_commands


@click.command("link")
@click.argument("number", type=Recipient())
@click.argument("user_id", type=Recipient())
@click.option("--account-sid", required=True)
@click.option("--source", default="operator", show_default=True)
@click.option("--actor", default=user, show_default="cli/<you>", help="User who links them.")
@click.option("--reason", help="Kept in the history of blocks that are merged.")
def command(
    number: str, user_id: str, account_sid: str, source: str, actor: str, reason: str | None
) -> None:
    """Say that NUMBER and USER_ID are one person's on WhatsApp; it cannot be taken back.

    Blocks on either hold for both from then on.

    Example: optout blocks link +15551234567 whatsapp:US.13491208655302741918 --account-sid AC1
    """
    if len(groups_of(subscriber_key(number))) == 1:
        raise click.UsageError("NUMBER: must be an E.164 number such as +15551234567")
    if len(groups_of(subscriber_key(user_id))) > 1:
        raise click.UsageError("USER_ID: must be a user id such as whatsapp:US.1349120865530274")
    settings = config.load()
    link = LinkCommand(
        command_id=consent_commands.new_command_id(),
        account_sid=account_sid,
        user_id=subscriber_key(user_id),
        number=subscriber_key(number),
        source=source,
        reason=reason,
        claimed_ms=clocks.now_ms(),
        actor=actor,
    )
    if run(_link_of(settings, link)) not in (None, link.number):
        raise ConfigError([f"USER_ID: {CONTRADICTS}"])
    value = consent_commands.checked(link)
    is_done = run(give(settings, link.user_id, value))
    if is_done and run(_link_of(settings, link)) != link.number:
        raise ConfigError([f"USER_ID: {CONTRADICTS}"])
    if not is_done:
        click.echo(
            f"command {link.command_id} is in the topic, but no worker carried it out yet; it "
            "will be carried out once a worker runs",
            err=True,
        )
        sys.exit(1)
    click.echo(f"{user_id} and {number} are one person")


async def _link_of(settings: Settings, link: LinkCommand) -> str | None:
    """The number that the user id has a link to."""
    key = entry_of(link.account_sid, f"whatsapp:{link.user_id}")
    partition = partition_of(link.user_id.encode(), settings.partitions)
    async with open_store(settings) as store:
        [value] = (await store.read(partition, [key])).values
    return wire_blocks.link_in(value)
