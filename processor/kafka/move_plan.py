"""What a move to new topics copies, in which order, and what must be so before it may begin."""

from __future__ import annotations

import asyncio
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from processor.config import Settings
from processor.errors import ConfigError
from processor.kafka import topic_admin
from processor.kafka.moving import Part, begin, by_mark, by_time, ends_of

HISTORY = "block-changes.v1"
LIST = "block-list.v1"
_LANES = ("match", "gate", "webhooks")  # roles that must not lose or double what they read
_PROOF_DAYS = 365  # what is kept for years is proof, and moves whole


@dataclass(frozen=True, slots=True)
class Plan:
    """Where from, where to, and the parts: what moves whole, then what is not consumed yet."""

    source: Settings
    target: Settings
    whole: Sequence[Part]
    pending: Sequence[Part]
    spread: Mapping[str, int]  # new topic, without prefix, to its partitions

    @property
    def groups(self) -> list[str]:
        """The groups whose members must be gone."""
        return sorted({part.group for part in self.pending})


def plan(source: Settings, target: Settings) -> Plan:
    """What `schemas/topics.toml` comes to."""
    topics = tomllib.loads(files("schemas").joinpath("topics.toml").read_text())
    group = f"{target.topic_prefix}move"

    def counted(topic: Mapping[str, Any], settings: Settings) -> int:
        return settings.partitions if topic["partitions"] == "all" else int(topic["partitions"])

    whole = [
        Part(
            topics=[name],
            partitions=range(counted(topic, source)),
            order=by_mark if name in (HISTORY, LIST) else by_time,
            group=group,
            transactional_id=group,
            says_where="cleanup" not in topic,
        )
        for name, topic in topics.items()
        if "cleanup" in topic or topic["retention_days"] >= _PROOF_DAYS
    ]
    read = {
        role: [
            name
            for name, topic in topics.items()
            if role in topic["readers"] and "cleanup" not in topic
        ]
        for role in _LANES
    }
    pending = [
        Part(
            topics=names,
            partitions=[partition],
            order=by_time,
            group=f"{source.topic_prefix}{role}",
            # The lane's own: a worker that starts meanwhile stops the move, or is stopped by it.
            transactional_id=f"{source.topic_prefix}{role}-{partition}",
        )
        for role, names in read.items()
        for partition in range(source.partitions)
    ]
    spread = {name: counted(topic, target) for name, topic in topics.items()}
    return Plan(source, target, whole, pending, spread)


async def refuse(plan: Plan) -> bool:
    """See that the move may begin; whether workers of the target ran already.

    Raises:
        ConfigError: with everything that is in the way, each with its remedy.
        BrokerUnavailable: where the broker does not answer.
    """
    source, target = plan.source, plan.target
    if source.topic_prefix == target.topic_prefix:
        raise ConfigError([f"--to-prefix: {target.topic_prefix} is where the topics are now"])
    if wrong := await topic_admin.check(source):
        raise ConfigError(wrong)
    if members := await _members(plan):
        raise ConfigError(members)
    there = await topic_admin.check(target)
    if counted := [problem for problem in there if ": missing; " not in problem]:
        raise ConfigError(counted)
    problems = await _uncommitted(plan)
    begun = False
    if not there:
        ran = await topic_admin.committed(target, [f"{target.topic_prefix}{one}" for one in _LANES])
        begun = bool(ran)
        problems += await _foreign(plan)
        if begun:
            problems += await _grown(plan)
    if problems:
        raise ConfigError(problems)
    return begun


async def _members(plan: Plan) -> list[str]:
    """The groups that have members; a static one is missed only after its session's time-out."""
    deadline = time.monotonic() + plan.source.session_timeout_s + 1
    while True:
        found = await topic_admin.members(plan.source, plan.groups)
        if not any(found.values()) or time.monotonic() > deadline:
            return [
                f"{group}: {count} members; stop the workers of {plan.source.topic_prefix} first"
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
        if group in known or group.endswith("webhooks"):  # whose role may never have run
            continue
        for part in parts:
            if sum((await ends_of(plan.source, part)).values()):
                problems.append(
                    f"{group}: has committed nothing, or so long ago that Kafka forgot it; start "
                    "its workers once, or set its offsets to where it stood"
                )
                break
    return problems


async def _foreign(plan: Plan) -> list[str]:
    """The target holds records, and not of a move from here."""
    group = plan.whole[0].group
    known = await topic_admin.committed(plan.source, [group])
    if any(tp.topic.startswith(plan.source.topic_prefix) for tp in known.get(group, ())):
        return []
    written = [
        name
        for part in plan.whole
        for name in part.topics
        if sum((await ends_of(plan.target, _all_of(plan, name))).values())
    ]
    return [
        f"{plan.target.topic_prefix}{name}: is not empty; name a new prefix" for name in written
    ]


async def _grown(plan: Plan) -> list[str]:
    """The list has more than was moved, though workers of the target went on from there."""
    problems = []
    for part in plan.whole:
        if part.topics[0] not in (HISTORY, LIST):
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
