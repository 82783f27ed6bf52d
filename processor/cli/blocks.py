"""`optout blocks`: read, change, rebuild and verify the block list."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import click
from pydantic import ValidationError

from processor import clocks, config
from processor.cli.addresses import Recipient
from processor.cli.common import actor as user
from processor.cli.common import as_json, print_json, progress, run
from processor.config import Settings
from processor.core.blocks import UNREADABLE, Block, Stored, linked_blocks
from processor.core.consents import TargetMissing, consent_command, place_of
from processor.core.decide import refusal_of
from processor.core.messages import (
    ConsentCommand,
    Scope,
    account_of,
    bare_number,
    channel_group_of,
    entry_key,
    entry_of,
    groups_of,
    list_key,
    list_key_of,
    subscriber_of,
)
from processor.core.partitions import partition_of
from processor.errors import ConfigError
from processor.kafka.groups import committed_of, group_view
from processor.kafka.topics.block_list_topic import BlockListTopic
from processor.kafka.writing import Outgoing, writer
from processor.stores.block_list import BlockListInspector, BlockListStore
from processor.stores.redis_block_list import block_list_store
from processor.stores.redis_client import redis_client
from processor.wire import blocks as wire_blocks
from processor.wire import consent_commands
from processor.wire.json_values import problems_in, to_text
from processor.wire.topics import Topics

_WAIT_S = 10.0


@click.group("blocks")
def group() -> None:
    """Read the block list, block and unblock, rebuild and verify."""


@group.command("get")
@click.argument("recipient", type=Recipient())
@click.option("--account-sid", help="Only blocks of this account.")
@as_json
def get(recipient: str, account_sid: str | None, as_json: bool) -> None:
    """Show the blocks on RECIPIENT; exit 1 if there are none.

    Example: optout blocks get +15551234567
    """
    settings = config.load()
    found = run(_blocks_on(settings, recipient, account_sid))
    for key, block in found:
        _print(key, block, as_json)
    if not found:
        if not as_json:
            click.echo(f"{recipient} is not blocked")
        sys.exit(1)


@group.command("list")
@click.option("--account-sid", help="Only blocks of this account.")
@as_json
def list_(account_sid: str | None, as_json: bool) -> None:
    """List every block.

    Example: optout blocks list --json > blocked.jsonl
    """
    settings = config.load()

    async def work() -> None:
        async with open_store(settings) as store:
            for partition in range(settings.partitions):
                async for key, value in store.entries(partition, account_sid=account_sid):
                    for block in wire_blocks.listed(value):
                        _print(key, block, as_json)

    run(work())


def _changes(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `block` and `unblock`."""
    for option in (
        click.argument("recipient", type=Recipient()),
        click.option("--account-sid", required=True),
        click.option(
            "--scope",
            type=click.Choice([scope.value for scope in Scope]),
            help="Default: that of the service or sender named, else OPTOUT_BLOCK_SCOPE.",
        ),
        click.option("--service-sid", help="For scope service."),
        click.option("--sender", help="For scope sender."),
        click.option("--source", default="operator", show_default=True),
        click.option(
            "--actor", default=user, show_default="cli/<you>", help="User who makes the change."
        ),
        click.option(
            "--reason", help="Kept in the history; needed to lift a recipient's own block."
        ),
    ):
        command = option(command)
    return command


@group.command("block")
@_changes
def block(**options: Any) -> None:
    """Put RECIPIENT on the block list.

    Example: optout blocks block +15551234567 --account-sid AC1 --reason "asked by phone"
    """
    _change(blocked=True, **options)


@group.command("unblock")
@_changes
def unblock(**options: Any) -> None:
    """Take RECIPIENT off the block list; only START lifts a toll-free network's own block.

    Example: optout blocks unblock +15551234567 --account-sid AC1 --reason "asked in the shop"
    """
    _change(blocked=False, **options)


def _change(
    *,
    blocked: bool,
    recipient: str,
    account_sid: str,
    scope: str | None,
    service_sid: str | None,
    sender: str | None,
    source: str,
    actor: str,
    reason: str | None,
) -> None:
    settings = config.load()
    try:
        command = consent_command(
            command_id=consent_commands.new_command_id(),
            account_sid=account_sid,
            recipient=recipient,
            blocked=blocked,
            scope=Scope(scope) if scope else None,
            service_sid=service_sid,
            sender=sender,
            default_scope=settings.block_scope,
            source=source,
            reason=reason,
            actor=actor,
            claimed_ms=clocks.now_ms(),
        )
    except TargetMissing as error:
        option = error.field.replace("_", "-")
        raise click.UsageError(f"--scope {error.scope} needs --{option}") from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        value = consent_commands.checked(command)
    except ValidationError as error:
        raise ConfigError(problems_in(error)) from None
    if why := run(_refusal_of(settings, recipient, command)):
        raise ConfigError([why])
    if not run(give(settings, command.recipient, value)):
        click.echo(
            f"command {command.command_id} is in the topic, but no worker carried it out within "
            f"{_WAIT_S:.0f} s; it will be carried out once a worker runs",
            err=True,
        )
        sys.exit(1)
    found = run(_outcome(settings, recipient, command))
    _say_outcome(recipient, command, found)


async def _outcome(
    settings: Settings, recipient: str, command: ConsentCommand
) -> list[tuple[str, Block]]:
    """The blocks once a command is carried out; that of a linked user id goes on to its number."""
    deadline = time.monotonic() + _WAIT_S
    while True:
        found = await _blocks_on(settings, recipient, command.account_sid)
        is_blocked = place_of(command) in {block.place for _, block in found}
        is_id = len(groups_of(command.recipient)) == 1
        if is_blocked is command.blocked or not is_id or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.05)


async def _refusal_of(settings: Settings, recipient: str, command: ConsentCommand) -> str | None:
    """Return the reason for which a lane would refuse the command with the list as it is now."""
    found = await _blocks_on(settings, recipient, command.account_sid)
    entry = {block.place: block for _, block in found}
    return refusal_of(command, entry)


def _say_outcome(
    recipient: str, command: ConsentCommand, found: Sequence[tuple[str, Block]]
) -> None:
    """Print the blocks that exist now, which may be more than the command asked for."""
    is_blocked = place_of(command) in {block.place for _, block in found}
    if is_blocked is not command.blocked:
        click.echo(f"{recipient}: another change came in between; see its history", err=True)
        sys.exit(1)
    if is_blocked:
        click.echo(f"{recipient} is blocked ({command.scope})")
        return
    click.echo(
        f"{recipient} is not blocked ({command.scope})" + (", but still blocked by:" * bool(found))
    )
    for key, block in found:
        _print(key, block, as_json=False)


async def _blocks_on(
    settings: Settings, recipient: str, account_sid: str | None
) -> list[tuple[str, Block]]:
    """Read the blocks on a recipient with their entry keys; without an account, those of all."""
    on = list_key(recipient, channel_group_of(recipient))
    partition = partition_of(bare_number(on).encode(), settings.partitions)
    async with open_store(settings) as store:
        keys = [entry_key(account_sid, on)] if account_sid else []
        found = await store.read(partition, keys)
        values = dict(zip(keys, found.values, strict=True))
        if account_sid is None:
            values = {key: value async for key, value in store.entries(partition, list_key=on)}
        values = dict([await _followed(store, settings, *each) for each in values.items()])
    if found.meta.ready is None:
        click.echo("the block list is incomplete; its owner is rebuilding it", err=True)
    return [(key, block) for key, value in values.items() for block in wire_blocks.readable(value)]


async def _followed(
    store: BlockListInspector, settings: Settings, key: str, value: bytes | None
) -> tuple[str, bytes | None]:
    """The entry that has a person's blocks: of a linked user id, its number's (R32)."""
    link = wire_blocks.link_in(value)
    if link is None or value is None:
        return key, value
    number = entry_of(account_of(key), f"whatsapp:{link}")
    partition = partition_of(link.encode(), settings.partitions)
    [there] = (await store.read(partition, [number])).values
    stored = Stored(()) if there is None else wire_blocks.stored_in(there)
    found = linked_blocks(wire_blocks.readable(value), stored, subscriber_of(key))
    return number, wire_blocks.pack(found) if found else None


async def give(settings: Settings, key: str, value: bytes) -> bool:
    """Send a command and wait until a worker has carried it out and written the history."""
    topics = Topics.under(settings.topic_prefix)
    record = Outgoing(topics.consent_commands, key.encode(), value)
    async with writer(settings) as out:
        written = await (await out.send(record))
    deadline = time.monotonic() + _WAIT_S
    async with group_view(settings, f"{settings.topic_prefix}match") as match:
        while time.monotonic() < deadline:
            done = (await committed_of(match, [written.topic_partition])).values()
            if any(one.offset > written.offset for one in done):
                return True
            await asyncio.sleep(0.05)
    return False


@group.command("rebuild")
@click.option("--partition", type=click.IntRange(0), help="Only this partition.")
def rebuild(partition: int | None) -> None:
    """Make the owners rebuild the list in Redis from its topic; gates wait meanwhile.

    Waits until the list is rebuilt. Without a running worker, it waits for a worker.

    Example: optout blocks rebuild
    """
    settings = config.load()
    if partition is not None and partition >= settings.partitions:
        raise click.UsageError(f"--partition: must be 0 to {settings.partitions - 1}")
    partitions = range(settings.partitions) if partition is None else [partition]

    async def work() -> None:
        async with open_store(settings) as store:
            for one in partitions:
                await store.declare_lost(one)
            with progress(partitions, "rebuilding") as bar:
                for one in bar:
                    await _wait_rebuilt(store, one)

    run(work())
    click.echo(f"{len(partitions)} partitions rebuilt")


async def _wait_rebuilt(store: BlockListInspector, partition: int) -> None:
    told_at = time.monotonic() + _WAIT_S
    while (await store.read(partition, ())).meta.ready is None:
        if time.monotonic() > told_at:
            told_at += 6 * _WAIT_S
            click.echo(f"partition {partition}: waiting for a worker to rebuild it", err=True)
        await asyncio.sleep(0.1)


@group.command("verify")
@as_json
def verify(as_json: bool) -> None:
    """Compare the list in Redis with its topic; exit 1 if they differ.

    Entries that change meanwhile are compared again.

    Example: optout blocks verify
    """
    settings = config.load()
    entries, differing = run(_verify(settings))
    if as_json:
        print_json({"entries": entries, "differing": differing})
    else:
        click.echo(f"{entries} recipients blocked, {len(differing)} entries differ")
        for key in differing:
            click.echo(key)
    sys.exit(1 if differing else 0)


async def _verify(settings: Settings) -> tuple[int, list[str]]:
    entries, differing = 0, []
    with progress(range(settings.partitions), "verifying") as bar:
        for partition in bar:
            async with open_store(settings) as store:
                entries += len([key async for key, _ in store.entries(partition)])
            wrong = await differences(settings, partition)
            for _ in range(3):
                if wrong:
                    await asyncio.sleep(1)
                    wrong &= await differences(settings, partition)
            differing += sorted(wrong)
    return entries, differing


async def differences(settings: Settings, partition: int) -> set[str]:
    """Return the list keys whose blocks in Redis differ from those in `block-list` about now."""
    topic = BlockListTopic(settings, Topics.under(settings.topic_prefix).block_list)
    truth: dict[str, bytes] = {}
    try:
        async for batch in topic.entries(partition):
            for key, value in batch:
                truth.pop(key, None)
                if value is not None:
                    truth[key] = wire_blocks.pack(*_entry_of(value))
    finally:
        await topic.close()
    async with open_store(settings) as store:
        served = {key: value async for key, value in store.entries(partition)}
    return {key for key in truth.keys() | served.keys() if truth.get(key) != served.get(key)}


def _entry_of(value: bytes) -> Stored:
    """Read an entry as a rebuild does: an unreadable entry blocks."""
    try:
        return wire_blocks.read_stored(value)
    except ValueError:  # the base of pydantic's errors
        return Stored((UNREADABLE,))


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[BlockListStore]:
    """Open the served block list of an installation."""
    store = block_list_store(settings, redis_client(settings))
    try:
        yield store
    finally:
        await store.close()


def _print(key: str, block: Block, as_json: bool) -> None:
    if as_json:
        print_json(wire_blocks.line_of(key, block))
        return
    target = f" {block.target}" if block.target else ""
    carrier = " (by the toll-free network)" if block.carrier else ""
    locked = ", locked" if block.locked else ""
    causes = ", ".join(f"{one.kind} {one.change_id}" for one in block.sources)
    click.echo(
        f"{list_key_of(key)}  {account_of(key)}  {block.scope}{target}{carrier}{locked}  since "
        f"{to_text(block.since_ms)}  by {causes}"
    )
