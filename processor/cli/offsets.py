"""`optout offsets`: show and set the positions of the roles in their topics."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence

import click

from processor import config
from processor.cli.common import UtcTime, as_json, print_json, run
from processor.config import Settings
from processor.errors import ConfigError
from processor.kafka.lanes import group_offsets
from processor.kafka.lanes.group_offsets import Standing
from processor.kafka.topics import topic_admin
from processor.kafka.topics.topic_plan import LANES

_role = click.Choice(LANES)
_NOT_FENCED = ("webhooks", "carriers")


@click.group("offsets")
def group() -> None:
    """Show or set the positions of match, gate, webhooks and carriers in their topics.

    A lane stops if its position cannot be right. Continuing could send messages twice, lift blocks
    because of old STARTs, or skip records silently.
    """


@group.command("show")
@click.argument("roles", type=_role, nargs=-1)
@as_json
def show(roles: Sequence[str], as_json: bool) -> None:
    """Show committed offsets beside the ends of the logs; exit 1 if a position is refused.

    Example: optout offsets show gate
    """
    settings = config.load()
    found = [one for role in roles or LANES for one in run(group_offsets.standings(settings, role))]
    if as_json:
        for one in found:
            print_json(_told(one))
    else:
        _print(found)
    sys.exit(1 if any(one.doubt for one in found) else 0)


@group.command("set")
@click.argument("role", type=_role)
@click.option("--to", required=True, help="earliest, latest, an offset, or a time.")
@click.option("--topic", help="Only this topic; give its full name.")
@click.option(
    "--partition", "partitions", type=int, multiple=True, help="Only this partition; repeatable."
)
@click.option("--all", "everything", is_flag=True, help="Also positions that are not refused.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def set_(
    role: str,
    to: str,
    topic: str | None,
    partitions: Sequence[int],
    everything: bool,
    yes: bool,
) -> None:
    r"""Set a role's refused positions; its lanes continue from there within seconds.

    \b
    earliest  handle again everything the topic still holds
    latest    skip everything that is in the topic now
    OFFSET    an offset; needs --topic and --partition
    TIME      the first record written then or later, such as 2026-01-31T12:00:00Z

    The gate sends again whatever it handles again. Match remembers what it handled in the last
    OPTOUT_DEDUPE_HOURS; an older START that is handled again lifts a later STOP.

    Example: optout offsets set gate --to 2026-01-31T12:00:00Z
    """
    settings = config.load()
    found = run(group_offsets.standings(settings, role))
    wanted = [
        one
        for one in found
        if (one.doubt or everything)
        and topic in (None, one.topic)
        and (not partitions or one.partition in partitions)
    ]
    if not wanted:
        click.echo("no such position is refused; --all also sets positions that are not refused")
        return
    if role in _NOT_FENCED and not all(one.doubt for one in wanted):
        run(_refuse_beside_workers(settings, role))
    offsets = run(_offsets(settings, to, wanted))
    for one, offset in zip(wanted, offsets, strict=True):
        click.echo(_says_change(one, offset))
    if not yes:
        click.confirm("set these offsets?", abort=True)
    by_partition = defaultdict(list)
    for one, offset in zip(wanted, offsets, strict=True):
        by_partition[one.partition].append((one, offset))
    run(group_offsets.set_offsets(settings, by_partition))
    click.echo(f"{len(wanted)} offsets set")


async def _refuse_beside_workers(settings: Settings, role: str) -> None:
    """Refuse while workers run: lanes that are not fenced would commit their own offset."""
    group = f"{settings.topic_prefix}{role}"
    if count := (await topic_admin.members(settings, [group]))[group]:
        raise ConfigError([f"{group}: {count} members; stop the workers with this role first"])


async def _offsets(settings: Settings, to: str, wanted: list[Standing]) -> list[int]:
    """Work out the offset that ``--to`` means for each position.

    Raises:
        ConfigError: it is neither a known word, an offset nor a time, or lies outside a log.
    """
    if to == "earliest":
        return [one.log.start for one in wanted]
    if to == "latest":
        return [one.log.end for one in wanted]
    if not to.isdecimal():
        try:
            since_ms = UtcTime().convert(to, None, None)
        except click.BadParameter:
            raise ConfigError(
                [f"--to: {to!r} is not earliest, latest, an offset or a time"]
            ) from None
        return await group_offsets.offsets_at(settings, since_ms, wanted)
    if len(wanted) > 1:
        raise ConfigError([f"--to {to}: an offset needs one --topic and one --partition"])
    log, offset = wanted[0].log, int(to)
    if not log.start <= offset <= log.end:
        raise ConfigError([f"--to {to}: the log has offsets {log.start} to {log.end}"])
    return [offset]


def _told(one: Standing) -> dict[str, object]:
    return {
        "role": one.role,
        "topic": one.topic,
        "partition": one.partition,
        "committed": one.position.offset if one.position else None,
        "log_start": one.log.start,
        "log_end": one.log.end,
        "refused": one.doubt.cause if one.doubt else None,
        "why": one.doubt.text if one.doubt else None,
    }


def _print(found: Sequence[Standing]) -> None:
    width = max(len(one.topic) for one in found)
    click.echo(f"{'':8}  {'topic':{width}}  partition  committed  log start    log end       lag")
    for one in found:
        committed = one.position.offset if one.position else None
        lag = one.log.end - (one.log.start if committed is None else committed)
        click.echo(
            f"{one.role:8}  {one.topic:{width}}  {one.partition:9}"
            f"  {'-' if committed is None else committed:>9}  {one.log.start:9}  {one.log.end:9}"
            f"  {'-' if one.doubt else lag:>8}"
        )
        if one.doubt:
            click.echo(f"{'':8}  refused: {one.doubt.text}")


def _says_change(one: Standing, offset: int) -> str:
    before = one.position.offset if one.position else None
    what = f"{one.topic}[{one.partition}]: {'-' if before is None else before} -> {offset}"
    return f"{what}; {one.log.end - offset} of {one.log.end - one.log.start} in the log are ahead"
