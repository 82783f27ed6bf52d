"""Create the topics of `schemas/topics.toml` and the rates agent's, and check those that exist."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from processor.config import Settings
from processor.errors import BrokerUnavailable, ConfigError
from processor.kafka.client import committed_of, group_view
from processor.kafka.failures import in_words
from processor.kafka.protocol import CreateTopics, SetTopicConfig
from processor.kafka.starting import start

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS
_LEADERS_S = 60.0
TIMESTAMPS = "message.timestamp.type"
# The broker's clock is the one that counts (R41), and no producer's can hold a record up.
BY_BROKER, BY_PRODUCER = "LogAppendTime", "CreateTime"
_MOST_BYTES = 1 << 20  # of a batch as it is written: what the lanes reckon with
# Compacted soon, and tombstones kept longer than any worker is away: a rebuild reads the whole log.
_COMPACTED = {
    "cleanup.policy": "compact",
    "segment.ms": "3600000",
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": str(7 * _DAY_MS),
}
# What Faust keeps the tables of `stages/opt_out_rates.py` in, under names of its making: retention
# (as long as they keep a window, and two windows) and age of a segment. Faust would make them while
# its agent already reads, and break off over partitions that are not there yet.
_CHANGELOGS_MS = {
    "rates-hours-changelog": (26 * _HOUR_MS, 24 * _HOUR_MS),
    "rates-minutes-changelog": (62 * _MINUTE_MS, _HOUR_MS),
}


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What a topic should be like."""

    name: str
    partitions: int
    config: Mapping[str, str]
    replaces: str | None = None  # the same of an older version, whose records move over


def plans(settings: Settings) -> list[TopicPlan]:
    """Every topic, under the installation's prefix."""
    described = tomllib.loads(files("schemas").joinpath("topics.toml").read_text())
    made = [_plan(settings, name, topic) for name, topic in described.items()]
    for name, (retention_ms, segment_ms) in _CHANGELOGS_MS.items():
        config = {
            "cleanup.policy": "compact,delete",
            "retention.ms": str(retention_ms),
            "segment.ms": str(segment_ms),
        }
        made.append(TopicPlan(settings.topic_prefix + name, settings.partitions, config))
    return made


def _plan(settings: Settings, name: str, topic: Mapping[str, Any]) -> TopicPlan:
    partitions = settings.partitions if topic["partitions"] == "all" else topic["partitions"]
    config = dict(_COMPACTED) if topic.get("cleanup") == "compact" else {"cleanup.policy": "delete"}
    if "retention_days" in topic:
        config["retention.ms"] = str(topic["retention_days"] * _DAY_MS)
    config["max.message.bytes"] = str(topic.get("max_message_bytes", _MOST_BYTES))
    config[TIMESTAMPS] = BY_BROKER
    before = topic.get("replaces")
    replaces = settings.topic_prefix + before if before else None
    return TopicPlan(settings.topic_prefix + name, partitions, config, replaces)


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(**settings.kafka())
    try:
        await start(admin)
        yield admin
    except KafkaError as error:
        raise BrokerUnavailable(in_words(error, settings.kafka_bootstrap)) from error
    finally:
        await admin.close()


async def create(settings: Settings) -> list[str]:
    """Create what is missing; the names created.

    Raises:
        ConfigError: where the broker refuses a topic, with its words.
        BrokerUnavailable: where it does not answer.
    """
    async with _admin(settings) as admin:
        wanted = plans(settings)
        if older := _older(wanted, set(await admin.list_topics())):
            # Empty ones beside them would be a list that forgot everybody.
            raise ConfigError([_says_older(plan) for plan in older])
        request = CreateTopics([(plan.name, plan.partitions, plan.config) for plan in wanted])
        answer = await admin._send_to_controller(request)
        created, problems = _outcome(answer)
        if problems:
            raise ConfigError(problems)
        await _wait_for_leaders(admin, {plan.name for plan in wanted})
    return created


def _outcome(answer: Any) -> tuple[list[str], list[str]]:
    """The names created, and why others were not; of those that were there nothing is said."""
    created, problems = [], []
    for name, code, *message in answer.topic_errors:
        error = for_code(code)
        if code == 0:
            created.append(name)
        elif error is not TopicAlreadyExistsError:
            problems.append(f"{name}: {error.__name__} {message[0] if message else ''}".strip())
    return created, problems


async def _wait_for_leaders(admin: Any, names: Set[str]) -> None:
    try:
        async with asyncio.timeout(_LEADERS_S):
            while not await _have_leaders(admin, names):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise BrokerUnavailable(
            f"Kafka: partitions have no leader after {_LEADERS_S:.0f} s; see which brokers are down"
        ) from None


async def _have_leaders(admin: Any, names: Set[str]) -> bool:
    """Whether the topics can be used: a broker answers before it has made them all."""
    if not names <= set(await admin.list_topics()):
        return False
    described = await admin.describe_topics(sorted(names))
    return all(partition["leader"] >= 0 for topic in described for partition in topic["partitions"])


async def set_timestamps(settings: Settings, kind: str) -> None:
    """Have the topics of the flow keep producers' times, or get the broker's.

    Args:
        settings: of the installation.
        kind: ``BY_PRODUCER`` while records are copied with their own times, else ``BY_BROKER``.

    Raises:
        ConfigError: where the broker refuses it, with its words.
        BrokerUnavailable: where it does not answer.
    """
    names = [plan.name for plan in plans(settings) if TIMESTAMPS in plan.config]
    async with _admin(settings) as admin:
        answer = await admin._send_to_controller(SetTopicConfig(names, TIMESTAMPS, kind))
    problems = [
        f"{name}: {for_code(code).__name__} {message or ''}".strip()
        for code, message, _, name in answer.resources
        if code
    ]
    if problems:
        raise ConfigError(problems)


async def check(settings: Settings) -> list[str]:
    """What is wrong with the topics, each with its remedy; empty where all are as they should be.

    Raises:
        BrokerUnavailable: where the broker does not answer.
    """
    async with _admin(settings) as admin:
        # Ask for all: asking for one by name would create it on a broker that allows that.
        existing = set(await admin.list_topics())
        planned = [plan for plan in plans(settings) if plan.name in existing]
        described = await admin.describe_topics([plan.name for plan in planned])
    counts = {topic["topic"]: len(topic["partitions"]) for topic in described}
    older = _older(plans(settings), existing)
    problems = [_says_older(plan) for plan in older] + [
        f"{plan.name}: missing; create it with `optout topics create`"
        for plan in plans(settings)
        if plan.name not in existing and plan not in older
    ]
    problems += [
        f"{plan.name}: {counts[plan.name]} partitions where {plan.partitions} are expected; "
        + _remedy(plan, settings)
        for plan in planned
        if counts[plan.name] != plan.partitions
    ]
    return problems


async def older(settings: Settings) -> dict[str, str]:
    """Topics that are there in an older version only, without the prefix: new name to old.

    Raises:
        BrokerUnavailable: where the broker does not answer.
    """
    async with _admin(settings) as admin:
        existing = set(await admin.list_topics())
    found = [plan for plan in _older(plans(settings), existing) if plan.name not in existing]
    prefix = settings.topic_prefix
    return {
        plan.name.removeprefix(prefix): (plan.replaces or "").removeprefix(prefix) for plan in found
    }


def _older(wanted: Sequence[TopicPlan], existing: Set[str]) -> list[TopicPlan]:
    return [plan for plan in wanted if plan.replaces in existing]


def _says_older(plan: TopicPlan) -> str:
    return (
        f"{plan.replaces}: is of an older version, {plan.name} takes its place; carry everything "
        "over to a new prefix with `optout topics move` (deploy/upgrade.md)"
    )


def _remedy(plan: TopicPlan, settings: Settings) -> str:
    """What to do about a topic with another number of partitions."""
    if plan.name.removeprefix(settings.topic_prefix) in _CHANGELOGS_MS:
        return (
            "stop workers with the role rates, delete it, and create it again with `optout "
            "topics create`; lost is what /opt-out-rates counted in it, a day at most, and no "
            "block (deploy/runbook.md)"
        )
    return (
        "set OPTOUT_PARTITIONS to what all topics have; another number goes by `optout topics "
        "move` (deploy/upgrade.md): recipients are spread by it"
    )


async def members(settings: Settings, groups: Sequence[str]) -> dict[str, int]:
    """How many members each group has now.

    Raises:
        BrokerUnavailable: where the broker does not answer.
    """
    found = {}
    async with _admin(settings) as admin:
        for group in groups:  # one by one: aiokafka 0.14 misreads an answer about several
            [answer] = await admin.describe_consumer_groups([group])
            _, _, _, _, _, present, *_ = answer.groups[0]
            found[group] = len(present)
    return found


async def committed(settings: Settings, groups: Sequence[str]) -> dict[str, dict[Any, int]]:
    """The offsets that groups have committed, by partition; without groups that have none.

    Raises:
        BrokerUnavailable: where the broker does not answer.
    """
    found = {}
    for group in groups:
        async with group_view(settings, group) as view:
            offsets = await committed_of(view)
        found[group] = {tp: one.offset for tp, one in offsets.items()}
    return {group: offsets for group, offsets in found.items() if offsets}
