"""The settings of topics, and the command that moves topics."""

from __future__ import annotations

from collections.abc import Mapping

from processor.config import Settings
from processor.kafka.protocol import SetTopicConfigs
from processor.kafka.topics import topic_admin
from processor.kafka.topics.topic_plan import plans
from tests.installation import Installation, until

PARTITIONS = 7


async def set_configs(settings: Settings, wanted: Mapping[str, Mapping[str, str]]) -> None:
    """Set topics' settings, and wait until they are in force."""
    async with topic_admin._admin(settings) as admin:
        answer = await admin._send_to_controller(SetTopicConfigs(wanted))
    assert [code for code, *_ in answer.resources] == [0] * len(wanted)

    async def in_force() -> bool:
        found = [(await config_of(settings, topic), values) for topic, values in wanted.items()]
        return all({**config, **values} == config for config, values in found)

    await until(in_force, "settings in force")


async def config_of(settings: Settings, topic: str) -> Mapping[str, str]:
    """A topic's settings now."""
    async with topic_admin._admin(settings) as admin:
        config = (await topic_admin._described(admin, plans(settings)))[topic].config
    assert config
    return config


def moved_to(settings: Settings, prefix: str = "to.") -> Installation:
    """The installation after a move."""
    update = {"topic_prefix": prefix + settings.topic_prefix, "partitions": PARTITIONS}
    return Installation(settings.model_copy(update=update))


def the_move(at: Installation) -> tuple[str, ...]:
    """The command for this move."""
    to = at.settings
    return ("topics", "move", "--to-prefix", to.topic_prefix, "--partitions", str(to.partitions))
