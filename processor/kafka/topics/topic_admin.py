"""Create the topics of `topic_plan.py`, mend those that exist, and check them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.api import Response

from processor.config import Settings
from processor.errors import BrokerUnavailable, ConfigError
from processor.kafka.administering import admin_of
from processor.kafka.groups import committed_of, group_view
from processor.kafka.protocol import CreateTopics, SetTopicConfigs
from processor.kafka.topics.topic_plan import (
    LANES,
    SETTINGS,
    TIMESTAMPS,
    Change,
    Consequence,
    Found,
    TopicPlan,
    TopicProblem,
    judge,
    lost_before,
    of_older,
    older_of,
    plans,
)

_SETTLED_S = 60.0


@dataclass(frozen=True, slots=True)
class Made:
    """The result of `create`."""

    created: list[str]
    mended: Mapping[str, Sequence[Change]]  # by topic
    lost: list[str]  # losses that topics may have had before they were mended
    refused: list[str]  # changes that the brokers refused, each with why
    problems: list[TopicProblem]  # those that are left


_admin = admin_of


async def create(settings: Settings) -> Made:
    """Create missing topics, and mend the settings of the others.

    It changes no partition count, shortens no retention and deletes nothing. While a move to these
    topics is under way, they keep producers' times.

    Raises:
        ConfigError: where the broker refuses to create a topic, with its words.
        BrokerUnavailable: where it does not answer.
    """
    wanted = plans(settings)
    async with _admin(settings) as admin:
        if older := older_of(wanted, dict.fromkeys(await admin.list_topics())):
            # Empty topics beside them would be a block list that forgot everyone.
            raise ConfigError([str(of_older(plan)) for plan in older])
        request = CreateTopics([(plan.name, plan.partitions, plan.config) for plan in wanted])
        answer = await admin._send_to_controller(request)
        created, refusals = _outcome(answer)
        if refusals:
            raise ConfigError(refusals)
        there = await _settled(admin, wanted, {})
        problems = judge(wanted, there)
        if any(one.consequence is Consequence.WAIT for one in problems) and (
            await _is_moved_to(settings)
        ):  # which sets the times at its end
            problems = [one for one in problems if one.consequence is not Consequence.WAIT]
        changes = _changes(problems)
        refused = await _set(admin, changes)
        mended = {name: each for name, each in changes.items() if name not in refused}
        after = await _settled(admin, wanted, mended)
    lost = [lost_before(name, each, there[name]) for name, each in mended.items()]
    return Made(
        created=created,
        mended={name: each for name, each in mended.items() if name not in created},
        lost=[one for one in lost if one],
        refused=list(refused.values()),
        problems=judge(wanted, after),
    )


def _outcome(answer: Response) -> tuple[list[str], list[str]]:
    """The names created, and why others were not; of those that were there nothing is said."""
    created, refusals = [], []
    for name, code, *message in answer.topic_errors:
        error = for_code(code)
        if code == 0:
            created.append(name)
        elif error is not TopicAlreadyExistsError:
            refusals.append(f"{name}: {error.__name__} {message[0] if message else ''}".strip())
    return created, refusals


def _changes(problems: Sequence[TopicProblem]) -> dict[str, list[Change]]:
    """The changes that mend problems, by topic; not every problem has one."""
    changes = defaultdict(list)
    for problem in problems:
        if problem.change:
            changes[problem.place].append(problem.change)
    return changes


async def _is_moved_to(settings: Settings) -> bool:
    """Whether a move to these topics has begun, and no worker has run on them since."""
    groups = {name: f"{settings.topic_prefix}{name}" for name in ("move", *LANES)}
    return list(await committed(settings, list(groups.values()))) == [groups["move"]]


async def _set(
    admin: AIOKafkaAdminClient, changes: Mapping[str, Sequence[Change]]
) -> dict[str, str]:
    """Change settings; the topics where that was refused, each with why."""
    if not changes:
        return {}
    wanted = {name: {one.setting: one.after for one in each} for name, each in changes.items()}
    answer = await admin._send_to_controller(SetTopicConfigs(wanted))
    refused = {}
    for code, message, _, name in answer.resources:
        settings = ", ".join(map(str, changes[name]))
        if for_code(code) is TopicAuthorizationFailedError:
            refused[name] = (
                f"{name}: this user may not change settings ({settings}); give it AlterConfigs "
                "(deploy/acls.toml)"
            )
        elif code:
            why = f"{for_code(code).__name__} {message or ''}".strip()
            refused[name] = f"{name}: {settings}: the brokers refuse it: {why}"
    return refused


async def _settled(
    admin: AIOKafkaAdminClient, wanted: Sequence[TopicPlan], changes: Mapping[str, Sequence[Change]]
) -> dict[str, Found]:
    """The topics once they can be used: a broker answers before it has done what it was asked."""
    try:
        async with asyncio.timeout(_SETTLED_S):
            while True:
                there = await _described(admin, wanted)
                if all(plan.name in there and there[plan.name].led for plan in wanted) and all(
                    (there[name].config or {}).get(one.setting) == one.after
                    for name, each in changes.items()
                    for one in each
                ):
                    return there
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise BrokerUnavailable(
            f"Kafka: after {_SETTLED_S:.0f} s partitions have no leader, or a setting is not in "
            "force; see which brokers are down"
        ) from None


async def set_timestamps(settings: Settings, kind: str) -> None:
    """Have the topics of the flow keep producers' times, or get the broker's.

    Args:
        settings: of the installation.
        kind: ``BY_PRODUCER`` while records are copied with their own times, else ``BY_BROKER``.

    Raises:
        ConfigError: where the broker refuses it, with its words.
        BrokerUnavailable: where it does not answer.
    """
    wanted = plans(settings)
    change = [Change(TIMESTAMPS, "", kind)]
    changes = {plan.name: change for plan in wanted if TIMESTAMPS in plan.config}
    async with _admin(settings) as admin:
        if refused := await _set(admin, changes):
            raise ConfigError([*refused.values()])
        await _settled(admin, wanted, changes)


async def check(settings: Settings) -> list[TopicProblem]:
    """Find problems of the topics; empty where all are as they should be.

    Raises:
        BrokerUnavailable: where the broker does not answer.
    """
    wanted = plans(settings)
    async with _admin(settings) as admin:
        return judge(wanted, await _described(admin, wanted))


async def _described(admin: AIOKafkaAdminClient, wanted: Sequence[TopicPlan]) -> dict[str, Found]:
    """The topics, and their older versions, that are there."""
    ours = {plan.name for plan in wanted} | {plan.replaces for plan in wanted}
    # Ask for all: asking for one by name would create it on a broker that allows that.
    found = [topic for topic in await admin.describe_topics() if topic["topic"] in ours]
    configs = await _configs(admin, [topic["topic"] for topic in found])
    there = {}
    for topic in found:
        name, partitions = topic["topic"], topic["partitions"]
        known = name in configs and not topic["error_code"]
        there[name] = Found(
            partitions=len(partitions) if known else 0,
            replicas=min((len(one["replicas"]) for one in partitions), default=0),
            config=configs.get(name, {}),
            led=known and bool(partitions) and all(one["leader"] >= 0 for one in partitions),
        )
    return there


async def _configs(
    admin: AIOKafkaAdminClient, names: Sequence[str]
) -> dict[str, Mapping[str, str] | None]:
    """The settings in force by topic, None where this user may not read them.

    A broker that does not know a topic yet has none of it.
    """
    asked = [
        ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(SETTINGS)) for name in names
    ]
    found: dict[str, Mapping[str, str] | None] = {}
    for answer in await admin.describe_configs(asked):
        for code, _, _, name, entries in answer.resources:
            error = for_code(code)
            if code == 0:
                found[name] = {setting: value for setting, value, *_ in entries}
            elif error is TopicAuthorizationFailedError:
                found[name] = None
            elif error is not UnknownTopicOrPartitionError:
                raise error(name)
    return found


async def older(settings: Settings) -> dict[str, str]:
    """Topics that are there in an older version only, without the prefix: new name to old.

    Raises:
        BrokerUnavailable: where the broker does not answer.
    """
    async with _admin(settings) as admin:
        existing = dict.fromkeys(await admin.list_topics())
    prefix = settings.topic_prefix
    return {
        plan.name.removeprefix(prefix): (plan.replaces or "").removeprefix(prefix)
        for plan in older_of(plans(settings), existing)
        if plan.name not in existing
    }


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


async def committed(
    settings: Settings, groups: Sequence[str]
) -> dict[str, dict[TopicPartition, int]]:
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
