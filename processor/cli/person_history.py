"""The history of a person: of a user id that has a link, its own changes and its number's (R32)."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Mapping, Sequence

import orjson

from processor.core.messages import ChannelGroup, account_of, groups_of, list_key
from processor.core.partitions import partition_of
from processor.stores.block_list import BlockListInspector
from processor.wire import blocks as wire_blocks
from processor.wire.records import Record

Newest = Callable[[str, str | None], Awaitable[Sequence[Record]]]
"""Reads the changes of a subscriber and an account, or of all accounts; newest first."""


async def links_of(
    store: BlockListInspector, partitions: int, subscriber: str
) -> Mapping[str, str]:
    """Find the numbers that a user id has links to, by account; a number has none."""
    if len(groups_of(subscriber)) > 1:
        return {}
    partition = partition_of(subscriber.encode(), partitions)
    found = {}
    on = list_key(subscriber, ChannelGroup.WHATSAPP)
    async for key, value in store.entries(partition, list_key=on):
        if (number := wire_blocks.link_in(value)) is not None:
            found[account_of(key)] = number
    return found


async def history_of(newest: Newest, subscriber: str, links: Mapping[str, str]) -> list[Record]:
    """Read a person's changes, newest first.

    Args:
        newest: reads the changes under one address.
        subscriber: asked about.
        links: of ``links_of``; of the number, only changes of WhatsApp belong to the user id.
    """
    parts = [list(await newest(subscriber, None))]
    for account_sid, number in links.items():
        found = await newest(number, account_sid)
        parts.append([record for record in found if _is_on_whatsapp(record)])
    return list(heapq.merge(*parts, key=lambda record: record.timestamp, reverse=True))


def _is_on_whatsapp(record: Record) -> bool:
    """Whether a change is of that channel group; one that cannot be read is shown as such."""
    try:
        fields = orjson.loads(record.value or b"")
        return bool(fields["channel_group"] == ChannelGroup.WHATSAPP)
    except (ValueError, LookupError, TypeError):
        return True
