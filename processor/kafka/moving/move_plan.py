"""Plans a move to new topics: the parts to copy, their order, and the conditions to begin."""

from __future__ import annotations

import asyncio
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from processor.config import Settings
from processor.errors import ConfigError
from processor.kafka.moving.copying import Part, begin, by_mark, by_time, ends_of, has_more
from processor.kafka.topics import topic_admin
from processor.kafka.topics.topic_plan import LANES, PROOF_DAYS, Code, Consequence, partitions_of

HISTORY = "block-changes.v1"
LIST = "block-list.v2"
# Settings are not in the way: the source is only read, and `create` mends the target.
# Records for carriers do not move: others may hand them over, and would do so again.
_MOVED = tuple(role for role in LANES if role != "carriers")
_IN_THE_WAY = {Code.MISSING, Code.OLDER_VERSION, Code.PARTITIONS_UNKNOWN, Code.PARTITION_COUNT}


@dataclass(frozen=True, slots=True)
class Plan:
    """Source, target and the parts: topics that move whole, then records not consumed yet."""

    source: Settings
    target: Settings
    whole: Sequence[Part]
    pending: Sequence[Part]
    shared: Sequence[Part]  # topics that others read, too; they must be read to the end before
    spread: Mapping[str, int]  # new topic, without prefix, to its partitions
    older: Mapping[str, str]  # topics whose source is of an older version: new name to old

    @property
    def groups(self) -> list[str]:
        """The groups whose members must be gone."""
        return sorted({part.group for part in self.pending})


def plan(source: Settings, target: Settings, older: Mapping[str, str] | None = None) -> Plan:
    """Plan the move by `schemas/topics.toml`.

    Args:
        source: prefix and count of the topics there are.
        target: of those they move to.
        older: see ``topic_admin.older``, of the source.
    """
    older = older or {}
    topics = tomllib.loads(files("schemas").joinpath("topics.toml").read_text())
    group = f"{target.topic_prefix}move"

    whole = [
        Part(
            topics=[older.get(name, name)],
            partitions=range(partitions_of(topic, source)),
            order=by_mark if name in (HISTORY, LIST) else by_time,
            group=group,
            transactional_id=group,
            says_where="cleanup" not in topic,
            becomes=name if name in older else None,
        )
        for name, topic in topics.items()
        if "cleanup" in topic or topic["retention_days"] >= PROOF_DAYS or topic.get("moves")
    ]

    def lanes_of(role: str, names: Sequence[str]) -> list[Part]:
        return [
            Part(
                topics=names,
                partitions=[partition],
                order=by_time,
                group=f"{source.topic_prefix}{role}",
                # The lane's own: a worker that starts meanwhile ends the move, or is ended by it.
                transactional_id=f"{source.topic_prefix}{role}-{partition}",
            )
            for partition in range(source.partitions if names else 0)
        ]

    pending, shared = [], []
    for role in _MOVED:
        read = {
            name: set(topic["readers"])
            for name, topic in topics.items()
            if role in topic["readers"] and "cleanup" not in topic
        }
        pending += lanes_of(role, [name for name, readers in read.items() if readers == {role}])
        shared += lanes_of(role, [name for name, readers in read.items() if readers != {role}])
    spread = {name: partitions_of(topic, target) for name, topic in topics.items()}
    return Plan(source, target, whole, pending, shared, spread, older)


async def refuse(plan: Plan) -> bool:
    """See that the move may begin; whether workers of the target ran already.

    Raises:
        ConfigError: with everything that is in the way, each with its remedy.
        BrokerUnavailable: where the broker does not answer.
    """
    source, target = plan.source, plan.target
    if source.topic_prefix == target.topic_prefix:
        raise ConfigError([f"--to-prefix: {target.topic_prefix} is where the topics are now"])
    wrong = [one for one in await topic_admin.check(source) if one.code in _IN_THE_WAY]
    if plan.older:
        older = {source.topic_prefix + old for old in plan.older.values()}
        wrong = [
            one
            for one in wrong
            if one.consequence is not Consequence.WAIT and one.place not in older
        ]
    if wrong:
        raise ConfigError([str(one) for one in wrong])
    if members := await _members(plan):
        raise ConfigError(members)
    there = [one for one in await topic_admin.check(target) if one.code in _IN_THE_WAY]
    if counted := [str(one) for one in there if one.consequence is Consequence.REFUSE]:
        raise ConfigError(counted)
    problems = await _uncommitted(plan) + await _unread(plan)
    begun = False
    if not there:
        ran = await topic_admin.committed(target, [f"{target.topic_prefix}{one}" for one in LANES])
        begun = any(offset for offsets in ran.values() for offset in offsets.values())
        problems += await _foreign(plan)
        if begun:
            problems += await _grown(plan)
    if problems:
        raise ConfigError(problems)
    return begun


async def _members(plan: Plan) -> list[str]:
    """The groups that have members; a static one is missed only after its session's time-out."""
    deadline = time.monotonic() + plan.source.session_timeout_s + 1
    groups = [*plan.groups, f"{plan.source.topic_prefix}api"]  # which writes what moves whole
    while True:
        found = await topic_admin.members(plan.source, groups)
        if not any(found.values()) or time.monotonic() > deadline:
            return [
                f"{group}: {count} members; stop workers and API of "
                f"{plan.source.topic_prefix} first"
                for group, count in found.items()
                if count
            ]
        await asyncio.sleep(0.5)


async def _uncommitted(plan: Plan) -> list[str]:
    """Groups that have no offset at all though there is something to read: all would be redone."""
    known = await topic_admin.committed(plan.source, plan.groups)
    problems = []
    for group in plan.groups:
        parts = [part for part in plan.pending if part.group == group]
        if group in known or group.endswith("webhooks"):  # their role may never have run
            continue
        for part in parts:
            if sum((await ends_of(plan.source, part)).values()):
                problems.append(
                    f"{group}: has committed nothing, or so long ago that Kafka forgot it; start "
                    "its workers once, or set its offsets to its last position"
                )
                break
    return problems


async def _unread(plan: Plan) -> list[str]:
    """Topics that others read too do not move: ours must have read them, where it ever did."""
    known = await topic_admin.committed(plan.source, plan.groups)
    behind = {
        topic: part.group
        for part in plan.shared
        for topic in part.topics
        if part.group in known and await has_more(plan.source, part)
    }
    return [
        f"{plan.source.topic_prefix}{topic}: not read to its end, and does not move; start workers "
        f"with OPTOUT_ROLES={group.removeprefix(plan.source.topic_prefix)} until it is"
        for topic, group in behind.items()
    ]


async def _foreign(plan: Plan) -> list[str]:
    """The target holds records, and not of a move from here."""
    group = plan.whole[0].group
    known = await topic_admin.committed(plan.source, [group])
    if any(tp.topic.startswith(plan.source.topic_prefix) for tp in known.get(group, ())):
        return []
    written = [
        name
        for part in plan.whole
        for name in [part.becomes or part.topics[0]]
        if sum((await ends_of(plan.target, _all_of(plan, name))).values())
    ]
    return [
        f"{plan.target.topic_prefix}{name}: is not empty; name a new prefix" for name in written
    ]


async def _grown(plan: Plan) -> list[str]:
    """The list has more than was moved, though workers of the target went on from there."""
    problems = []
    for part in plan.whole:
        if (part.becomes or part.topics[0]) not in (HISTORY, LIST):
            continue
        first, ends = await begin(plan.source, part), await ends_of(plan.source, part)
        if more := sum(ends.values()) - sum(first.values()):
            problems.append(
                f"{plan.source.topic_prefix}{part.topics[0]}: {more} offsets more than were moved, "
                f"and workers of {plan.target.topic_prefix} ran already; see deploy/upgrade.md"
            )
    return problems


def _all_of(plan: Plan, name: str) -> Part:
    return Part([name], range(plan.spread[name]), by_time, "", "")
