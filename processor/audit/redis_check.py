"""Compares Redis with the list's topic."""

from __future__ import annotations

import asyncio

from processor.audit.context import Context
from processor.audit.list_side import Served
from processor.audit.opening import OnUnreadable, entries_of
from processor.audit.output_records import packed
from processor.audit.values import LIST, canonical, digest
from processor.config import Settings
from processor.kafka.bounded_reading import bounded_reader, bounds_of
from processor.stores.hashes import fields_of
from processor.stores.redis_client import redis_client

_LOOKS = 3  # reads of Redis, which is a moment ahead of the topic
_LOOK_AGAIN_S = 0.5


async def check_redis(
    settings: Settings,
    context: Context,
    later: dict[bytes, tuple[int, bytes]],
    begin: int,
    unreadable: OnUnreadable,
) -> None:
    """Compare Redis with the list; a difference in every look is a finding.

    Args:
        settings: of the installation.
        context: of the partition.
        later: recipients with records behind those in the state; more are added.
        begin: offset behind all of these.
        unreadable: called with records of the list that cannot be parsed.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        StoreUnavailable: Redis does not answer.
    """
    client = redis_client(settings)
    name = f"{settings.topic_prefix}{{{context.number}}}:entries"
    wrong: dict[bytes, int] | None = None
    try:
        for look in range(_LOOKS):
            served = Served(context, later)
            async for field, value in fields_of(client, name):
                served.add(digest(field.decode(errors="replace")), _said(value))
            now = served.wrong()
            wrong = {key: at for key, at in now.items() if wrong is None or key in wrong}
            if not wrong or look == _LOOKS - 1:
                served.report(wrong.items())
                return
            await asyncio.sleep(_LOOK_AGAIN_S)
            begin = await _read_later(settings, context.number, later, begin, unreadable)
    finally:
        await client.close()


async def _read_later(
    settings: Settings,
    number: int,
    later: dict[bytes, tuple[int, bytes]],
    begin: int,
    unreadable: OnUnreadable,
) -> int:
    """Read what was added to the list meanwhile; return the offset behind it."""
    name = settings.topic_prefix + LIST
    bounds = await bounds_of(settings, [name], number)
    async with bounded_reader(settings, name, number, begin=begin, end=bounds[name].end) as reader:
        stream = entries_of(reader.fill, begin, unreadable)
        while (entry := await stream.look()) is not None:
            stream.take()
            said = canonical(entry.blocks, entry.lasts) if entry.blocks else b""
            later[digest(entry.key)] = entry.offset, said
        return stream.next


def _said(value: bytes) -> bytes:
    try:
        blocks, lasts = packed(value)
    except ValueError:
        return b"?"  # differs from every entry of the topic
    return canonical(blocks, lasts) if blocks else b""
