"""A person with a number and a user id, in different partitions of match's lanes."""

from __future__ import annotations

from typing import Any

from processor.core.blocks import NO_NAMES, SourceKind, Stored
from processor.core.messages import LinkCommand
from processor.core.partitions import partition_of
from processor.wire import blocks as wire_blocks
from tests.builders import ACCOUNT, NOW_MS, WHATSAPP_SENDER, a_config, a_service
from tests.match_lanes import PARTITIONS, MatchLanes

NUMBER, OTHER_NUMBER = "+15557654321", "+15557654322"
AT_NUMBER = partition_of(NUMBER.encode(), PARTITIONS)
ID = next(
    one
    for one in (f"US.{number}" for number in range(100))
    if partition_of(one.encode(), PARTITIONS) != AT_NUMBER
)
LINK = LinkCommand("CC1", ACCOUNT, ID, NUMBER, "api", None, NOW_MS)
SERVICE = a_service(WHATSAPP_SENDER, active=a_config())


def lanes(service: Any = SERVICE) -> MatchLanes:
    return MatchLanes([service])


async def entry(at: MatchLanes, subscriber: str) -> Stored:
    key = f"{ACCOUNT}/whatsapp:{subscriber}"
    found = await at.store.read(partition_of(subscriber.encode(), PARTITIONS), [key])
    [value] = found.values
    return Stored((), NO_NAMES) if value is None else wire_blocks.stored_in(value)


def kinds(stored: Stored) -> list[SourceKind]:
    return [source.kind for block in stored.blocks for source in block.sources]
