"""`optout topics move`: another partition count, by new topics that everything goes over to."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from hashlib import blake2b
from typing import Any, NamedTuple

import click
import orjson

from processor import config
from processor.cli.blocks import open_store
from processor.cli.common import as_json, print_json, run
from processor.config import Settings
from processor.core.fold import command_id
from processor.core.partitions import partitions_of
from processor.errors import ConfigError, RecordError
from processor.kafka import topic_admin
from processor.kafka.client import read_whole
from processor.kafka.handled_topics import notified_sid
from processor.kafka.move_plan import HISTORY, LIST, Plan, plan, refuse
from processor.kafka.moving import begin, copy, ends_of, settle
from processor.wire.dead_letters import redrives_of
from processor.wire.topics import Topics

_HOUR_MS = 3_600_000
_AT_ONCE = 1_000


@click.command("move")
@click.option("--to-prefix", required=True, help="OPTOUT_TOPIC_PREFIX from then on.")
@click.option(
    "--partitions", type=click.IntRange(1, 1000), required=True, help="OPTOUT_PARTITIONS then."
)
@as_json
def move(to_prefix: str, partitions: int, as_json: bool) -> None:
    """Move to new topics with another number of partitions; the workers must be stopped.

    Block list, its history and the configuration go over whole, messages and commands that were not
    consumed yet too; every record once, also where the command broke off and is given again. Given
    later, it brings what producers wrote to the old topics since. deploy/upgrade.md has the steps.

    Example: optout topics move --to-prefix optout2. --partitions 48
    """
    source = config.load()
    target = config.load(topic_prefix=to_prefix, partitions=partitions)
    moved = run(_move(plan(source, target)))
    if as_json:
        print_json(moved)
    else:
        _print(moved, target)
    sys.exit(0 if moved["equal"] is not False else 1)


async def _move(plan: Plan) -> dict[str, Any]:
    begun = await refuse(plan)
    created = await topic_admin.create(plan.target)
    if not begun:
        await topic_admin.set_timestamps(plan.target, topic_admin.BY_PRODUCER)
    source = plan.source
    for part in plan.pending:  # a worker that was killed may have left a transaction open
        await settle(source, part.transactional_id)
    # What is pending last: before its first record is over, going back is deleting the new topics.
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
            if remembered is None and part in plan.pending and not begun:
                remembered = await _remember(plan)
            copied += await copy(
                source, plan.target, part, spread=plan.spread, told=bar.update, late=begun
            )
    if any((await topic_admin.members(source, plan.groups)).values()):
        raise ConfigError(
            [f"workers of {source.topic_prefix} started meanwhile: stop them and move again"]
        )
    if not begun:
        await topic_admin.set_timestamps(plan.target, topic_admin.BY_BROKER)
        click.echo("holding lists and histories against each other", err=True)
    blocked, equal = (None, None) if begun else await _compare(plan)
    return {
        "created": len(created),
        "copied": dict(copied),
        "remembered": remembered or 0,
        "blocked": blocked,
        "equal": equal,
    }


async def _remember(plan: Plan) -> int:
    """Have the new list know the ids that were handled: a START sent again lifts no later STOP."""
    now_ms = time.time_ns() // 1_000_000
    remembered_ms = round(_HOUR_MS * plan.source.dedupe_hours)
    left_ms: dict[str, tuple[bytes, int]] = {}
    async for one, key, at_ms in _handled(plan, max(0, now_ms - remembered_ms)):
        if (left := at_ms + remembered_ms - now_ms) > 0:
            left_ms[one] = (key, min(left, remembered_ms))
    places = partitions_of([key for key, _ in left_ms.values()], plan.target.partitions)
    parts: dict[int, list[tuple[str, int]]] = {}
    for place, (one, (_, left)) in zip(places, left_ms.items(), strict=True):
        parts.setdefault(place, []).append((one, left))
    async with open_store(plan.target) as store:
        for place, ids in parts.items():
            epoch = (await store.claim(place, at_least=0)).epoch
            for start in range(0, len(ids), _AT_ONCE):
                await store.remember(place, epoch, dict(ids[start : start + _AT_ONCE]))
    return len(left_ms)


async def _handled(plan: Plan, since_ms: int) -> AsyncIterator[tuple[str, bytes, int]]:
    """Ids as the lanes compare them, recipient and time: of notifications, and commands read."""
    source = plan.source
    topics = Topics.under(source.topic_prefix)
    async for record in read_whole(source, topics.opt_out_notifications, since_ms=since_ms):
        try:
            sid = notified_sid(record.value)
        except RecordError:
            continue  # a foreign record: nothing was handled
        yield sid, record.key or b"", record.timestamp
    group = f"{source.topic_prefix}match"
    done = (await topic_admin.committed(source, [group])).get(group, {})
    tp_done = {tp.partition: at for tp, at in done.items() if tp.topic == topics.consent_commands}
    async for record in read_whole(source, topics.consent_commands, since_ms=since_ms):
        if record.offset < tp_done.get(record.partition, 0) and (one := _command_of(record)):
            id_ = command_id(one, redrives_of(record.headers))
            yield id_, record.key or b"", record.timestamp


def _command_of(record: Any) -> str | None:
    try:
        return str(orjson.loads(record.value)["command_id"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None  # it went to the dead letters: nothing was handled


class _Held(NamedTuple):
    """What a topic comes to, whatever partitions it is spread over."""

    records: int
    digest: int


async def _compare(plan: Plan) -> tuple[int, bool]:
    """How many recipients are blocked, and whether both lists and both histories are the same."""
    old, new = await _list_of(plan.source), await _list_of(plan.target)
    histories = [await _history_of(settings) for settings in (plan.source, plan.target)]
    return new.records, old == new and histories[0] == histories[1]


async def _list_of(settings: Settings) -> _Held:
    count, digest = 0, 0
    for partition in range(settings.partitions):
        entries: dict[bytes, int] = {}
        async for record in read_whole(
            settings, settings.topic_prefix + LIST, partitions=[partition]
        ):
            entries.pop(record.key, None)
            if record.value is not None:
                entries[record.key] = _digest(record.key, record.value)
        count, digest = count + len(entries), digest + sum(entries.values())
    return _Held(count, digest)


async def _history_of(settings: Settings) -> _Held:
    count, digest = 0, 0
    async for record in read_whole(settings, settings.topic_prefix + HISTORY):
        count, digest = count + 1, digest + _digest(record.key, record.value)
    return _Held(count, digest)


def _digest(key: bytes, value: bytes) -> int:
    """Added up in any order, it tells one set of records from another."""
    return int.from_bytes(blake2b(key + b"\0" + value, digest_size=16).digest(), "big")


def _print(moved: dict[str, Any], target: Settings) -> None:
    for topic, count in sorted(moved["copied"].items()):
        click.echo(f"{count:>12,}  {topic}")
    click.echo(f"{moved['remembered']:>12,}  ids of messages and commands handled lately")
    if moved["equal"] is None:
        click.echo("its workers ran already: only what was not consumed yet was brought over")
        return
    click.echo(f"{moved['blocked']:>12,}  recipients blocked")
    if not moved["equal"]:
        click.echo("the new block list or its history is not the old one: do not start on it")
        return
    click.echo(
        "list and history are the same in both; start workers, API and producers with\n"
        f"OPTOUT_TOPIC_PREFIX={target.topic_prefix} OPTOUT_PARTITIONS={target.partitions}"
    )
