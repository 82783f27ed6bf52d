"""How often a consumer group has rebalanced, read from its coordinator's topic."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from aiokafka import AIOKafkaConsumer

from processor.config import Settings
from tests.raw_log import entries

_TOPIC = "__consumer_offsets"
_GROUP_KEY = 2  # the version of a group's key; lower versions are of committed offsets
_SHORT, _INT = Struct(">h"), Struct(">i")


@dataclass(frozen=True, slots=True)
class Generation:
    """A group after a rebalance; its number grows by 1 with each."""

    at_ms: int
    number: int


async def generations(settings: Settings, group: str) -> list[Generation]:
    """The coordinator's records of a group, in order; a generation may appear twice."""
    consumer = AIOKafkaConsumer(**settings.kafka())
    await consumer.start()
    try:
        await consumer._client._wait_on_metadata(_TOPIC)
        count = len(consumer.partitions_for_topic(_TOPIC) or ())
    finally:
        await consumer.stop()
    assert count, f"{_TOPIC} is not there: no group has ever been joined"
    place = abs(_java_hash(group)) % count
    return [
        Generation(entry.at_ms, _number(entry.value))
        async for entry in entries(settings, _TOPIC, partitions=[place])
        if entry.value and entry.mark is None and _names(entry.key or b"", group)
    ]


async def generation(settings: Settings, group: str) -> int:
    """The number of the group's last finished rebalance."""
    return (await generations(settings, group))[-1].number


def _names(key: bytes, group: str) -> bool:
    return _SHORT.unpack_from(key)[0] == _GROUP_KEY and key[4:].decode() == group


def _number(value: bytes) -> int:
    [length] = _SHORT.unpack_from(value, 2)  # of the protocol type, which is before the number
    number: int = _INT.unpack_from(value, 4 + length)[0]
    return number


def _java_hash(text: str) -> int:
    """`String.hashCode` of ASCII, which determines a group's partition."""
    value = 0
    for character in text:
        value = (31 * value + ord(character)) & 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value
