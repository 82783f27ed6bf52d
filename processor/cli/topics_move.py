"""`optout topics move`: change the partition count by moving everything to new topics."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from typing import NamedTuple

import click
from pydantic import ValidationError
from typing_extensions import TypedDict

from processor import clocks, config
from processor.cli.blocks import open_store
from processor.cli.common import as_json, print_json, run
from processor.config import Settings
from processor.core.brakes import Recount, Replies
from processor.core.identity import Handled, Recalled, handled_command, reply_to
from processor.core.partitions import partitions_of
from processor.errors import ConfigError, RecordError
from processor.kafka.lanes import group_offsets
from processor.kafka.moving.copying import Convert, Part, begin, copy, ends_of, settle
from processor.kafka.moving.move_plan import HISTORY, LIST, Plan, plan, refuse
from processor.kafka.reading import read_whole
from processor.kafka.topics import topic_admin
from processor.kafka.topics.handled_messages import (
    handled_by,
    handled_report,
    put_aside,
    remembered_ms,
)
from processor.kafka.topics.topic_plan import BY_BROKER, BY_PRODUCER, LANES
from processor.wire import blocks_v1, consent_commands
from processor.wire.dead_letters import redrives_of
from processor.wire.records import Record
from processor.wire.topics import Topics

_AT_ONCE = 1_000


class _Moved(TypedDict):
    """The result of a move, as ``--json`` prints it."""

    created: int  # topics
    copied: dict[str, int]  # records by topic
    remembered: int  # ids of messages and commands
    blocked: int | None  # recipients; None: the new workers ran already
    equal: bool | None  # whether lists and histories are; None as above


@click.command("move")
@click.option("--to-prefix", required=True, help="OPTOUT_TOPIC_PREFIX from then on.")
@click.option(
    "--partitions", type=click.IntRange(1, 1000), required=True, help="OPTOUT_PARTITIONS then."
)
@as_json
def move(to_prefix: str, partitions: int, as_json: bool) -> None:
    """Move to new topics with another number of partitions; the workers must be stopped.

    Copies the block list, its history, the configuration, and all messages and commands that were
    not consumed yet. Every record is copied once, even if the command is interrupted and run again.

    Run it again later to copy records that producers wrote to the old topics since.
    deploy/upgrade.md has the steps.

    Example: optout topics move --to-prefix optout2. --partitions 48
    """
    source = config.load()
    target = config.load(topic_prefix=to_prefix, partitions=partitions)
    moved = run(_planned(source, target))
    if as_json:
        print_json(moved)
    else:
        _print(moved, target)
    sys.exit(0 if moved["equal"] is not False else 1)


async def _planned(source: Settings, target: Settings) -> _Moved:
    older = await topic_admin.older(source)
    for new, old in older.items():
        click.echo(f"{old} is of an older version; its records are converted for {new}", err=True)
    return await _move(plan(source, target, older))


async def _last_of_each(source: Settings, part: Part) -> Convert:
    """Convert records of an older list to this version: only the last record of each key counts.

    The older list kept the blocks of every account in one record. An account that disappeared from
    it left no tombstone.
    """
    last: dict[int, tuple[int, int]] = {}  # partition and offset, by hash of the key
    for topic in part.topics:
        async for record in read_whole(source, source.topic_prefix + topic):
            last[_digest(record.key or b"", b"")] = record.partition, record.offset

    def convert(record: Record) -> Sequence[tuple[bytes, bytes]]:
        if last.get(_digest(record.key or b"", b"")) != (record.partition, record.offset):
            return ()
        try:
            return blocks_v1.entries_of(record.key or b"", record.value)
        except (ValueError, LookupError, TypeError, AttributeError):
            place = f"{record.topic}[{record.partition}]@{record.offset}"
            raise ConfigError(
                [
                    f"{place}: is not an entry of a block list; nothing shows who was blocked. "
                    "Write a good value, or a tombstone, under its key, then move again"
                ]
            ) from None

    return convert


async def _move(plan: Plan) -> _Moved:
    begun = await refuse(plan)
    made = await topic_admin.create(plan.target)
    if made.refused:
        raise ConfigError(made.refused)
    if not begun:
        await topic_admin.set_timestamps(plan.target, BY_PRODUCER)
    source = plan.source
    for part in plan.pending:  # a worker that was killed may have left a transaction open
        await settle(source, part)
    # Pending records go last. Until the first is copied, deleting the new topics undoes the move.
    parts = [*(() if begun else plan.whole), *plan.pending]
    length = 0
    for part in parts:
        ends, first = await ends_of(source, part), await begin(source, part)
        length += sum(ends.values()) - sum(first.values())
    copied: Counter[str] = Counter()
    remembered: int | None = None
    with click.progressbar(
        length=length, label="moving", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        for part in parts:
            if part.becomes:
                part = replace(part, convert=await _last_of_each(source, part))
            if remembered is None and part in plan.pending and not begun:
                remembered = await _remember(plan)
            copied += await copy(
                source, plan.target, part, spread=plan.spread, told=bar.update, late=begun
            )
    if any((await topic_admin.members(source, plan.groups)).values()):
        raise ConfigError(
            [f"workers of {source.topic_prefix} started meanwhile; stop them and move again"]
        )
    blocked, equal = None, None
    if not begun:
        click.echo("comparing lists and histories", err=True)
        blocked, equal = await _compare(plan)
    if equal:
        for role in LANES:
            await group_offsets.begin(plan.target, role)
        # No worker starts before that.
        await topic_admin.set_timestamps(plan.target, BY_BROKER)
    return {
        "created": len(made.created),
        "copied": dict(copied),
        "remembered": remembered or 0,
        "blocked": blocked,
        "equal": equal,
    }


async def _remember(plan: Plan) -> int:
    """Copy handled ids to the new list, so that a repeated START does not lift a later STOP."""
    since_ms = clocks.now_ms() - remembered_ms(plan.source)
    found: dict[bytes, tuple[bytes, Handled]] = {}
    recounts: defaultdict[int, Recount] = defaultdict(Recount)  # by partition of the source
    recipients: dict[bytes, bytes] = {}  # by brake
    async for record, (one, brake) in _handled(plan, max(0, since_ms)):
        found[one.id] = record.key or b"", one
        if brake:
            recounts[record.partition].add(brake, reply_to(one))
            recipients[brake] = record.key or b""
    parts: defaultdict[int, list[Handled]] = defaultdict(list)
    places = partitions_of([key for key, _ in found.values()], plan.target.partitions)
    for place, (_, one) in zip(places, found.values(), strict=True):
        parts[place].append(one)
    replied = [one for recount in recounts.values() for one in recount.replied.items()]
    counted: defaultdict[int, dict[bytes, Replies]] = defaultdict(dict)
    places = partitions_of([recipients[brake] for brake, _ in replied], plan.target.partitions)
    for place, (brake, replies) in zip(places, replied, strict=True):
        counted[place][brake] = replies
    async with open_store(plan.target) as store:
        for place, handled in parts.items():
            epoch = (await store.claim(place, at_least=0)).epoch
            for start in range(0, len(handled), _AT_ONCE):
                await store.remember(place, epoch, handled[start : start + _AT_ONCE])
            brakes = list(counted[place].items())
            for start in range(0, len(brakes), _AT_ONCE):
                await store.remember(place, epoch, (), dict(brakes[start : start + _AT_ONCE]))
    return len(found)


async def _handled(plan: Plan, since_ms: int) -> AsyncIterator[tuple[Record, Recalled]]:
    """Yield handled messages and commands, from notifications, reports and commands."""
    source = plan.source
    topics = Topics.under(source.topic_prefix)
    async for record in read_whole(source, topics.opt_out_notifications, since_ms=since_ms):
        with suppress(RecordError):  # another writer's record, so nothing was handled
            yield record, handled_by(record)
    async for record in read_whole(source, topics.suspected_opt_outs, since_ms=since_ms):
        with suppress(RecordError):
            if recalled := handled_report(record):
                yield record, recalled
    group = f"{source.topic_prefix}match"
    done = (await topic_admin.committed(source, [group])).get(group, {})
    tp_done = {tp.partition: at for tp, at in done.items() if tp.topic == topics.consent_commands}
    aside = await put_aside(source, topics.dead_letters, topics.consent_commands, since_ms=since_ms)
    async for record in read_whole(source, topics.consent_commands, since_ms=since_ms):
        place = record.partition, record.offset
        if record.offset >= tp_done.get(record.partition, 0) or place in aside:
            continue
        with suppress(ValidationError):
            command = consent_commands.read(record.value or b"")
            redrives = redrives_of(record.headers)
            handled = handled_command(
                command.account_sid, command.command_id, redrives, record.timestamp
            )
            yield record, Recalled(handled, None)


class _Held(NamedTuple):
    """The contents of a topic, independent of its partitions."""

    records: int
    digest: int


async def _compare(plan: Plan) -> tuple[int, bool]:
    """Count blocked recipients, and compare both lists and both histories."""
    new = await _list_of(plan.target, LIST)
    convert = None
    if older := plan.older.get(LIST):
        convert = await _last_of_each(
            plan.source, next(part for part in plan.whole if part.becomes == LIST)
        )
    old = await _list_of(plan.source, older or LIST, convert)
    histories = [await _history_of(settings) for settings in (plan.source, plan.target)]
    return new.records, old == new and histories[0] == histories[1]


async def _list_of(settings: Settings, topic: str, convert: Convert | None = None) -> _Held:
    count, digest = 0, 0
    for partition in range(settings.partitions):
        entries: dict[bytes, int] = {}
        async for record in read_whole(
            settings, settings.topic_prefix + topic, partitions=[partition]
        ):
            for key, value in convert(record) if convert else [(record.key, record.value)]:
                entries.pop(key, None)
                if value is not None:
                    entries[key] = _digest(key, value)
        count, digest = count + len(entries), digest + sum(entries.values())
    return _Held(count, digest)


async def _history_of(settings: Settings) -> _Held:
    count, digest = 0, 0
    async for record in read_whole(settings, settings.topic_prefix + HISTORY):
        count, digest = count + 1, digest + _digest(record.key, record.value)
    return _Held(count, digest)


def _digest(key: bytes, value: bytes) -> int:
    """A hash; the sum over a set of records identifies the set in any order."""
    return int.from_bytes(blake2b(key + b"\0" + value, digest_size=16).digest(), "big")


def _print(moved: _Moved, target: Settings) -> None:
    for topic, count in sorted(moved["copied"].items()):
        click.echo(f"{count:>12,}  {topic}")
    click.echo(f"{moved['remembered']:>12,}  ids of recently handled messages and commands")
    if moved["equal"] is None:
        click.echo("its workers ran already: only records that were not consumed yet were copied")
        return
    click.echo(f"{moved['blocked']:>12,}  recipients blocked")
    if not moved["equal"]:
        click.echo(
            "the new block list or its history differs from the old: do not start workers on it, "
            "and move to another prefix"
        )
        return
    click.echo(
        "list and history are equal; start workers, API and producers with\n"
        f"OPTOUT_TOPIC_PREFIX={target.topic_prefix} OPTOUT_PARTITIONS={target.partitions}"
    )
