"""A served block list of many recipients in Redis, and its memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from processor.config import Settings
from processor.core.blocks import ACCOUNT as ACCOUNT_PLACE
from processor.core.blocks import Block, Mark, Source, SourceKind
from processor.core.identity import Handled, change_id_of, handled_message
from processor.core.messages import entry_key
from processor.core.partitions import partitions_of
from processor.kafka.topics.block_list_topic import BlockListTopic
from processor.kafka.writing import bulk_writer
from processor.stores.redis_block_list import block_list_store
from processor.stores.redis_client import RedisClient
from processor.wire import blocks as wire_blocks
from processor.wire.topics import Topics
from tests.builders import ACCOUNT, LONG_CODE

_EVERY = 50  # one of so many recipients of sends is blocked: 2 %
_MOST_RECIPIENTS = 10_000_000  # the most that the traffic can have
_SINCE_MS = 1_767_225_600_000
_CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of Redis for each blocked recipient."""

    used: float  # by the growth of used_memory
    hashes: float  # by MEMORY USAGE of the partitions' hashes
    handled: float  # for each recent message, by the growth of used_memory


def recipients_of(blocked: int) -> int:
    """How many recipients to send to, so that 2 % are blocked."""
    return min(blocked * _EVERY, _MOST_RECIPIENTS)


def is_blocked(key: bytes) -> bool:
    """Whether a recipient of the traffic, +1555 and seven digits, is on the list."""
    return int(key[5:]) % _EVERY == 0


def _numbers(blocked: int) -> Iterator[str]:
    in_traffic = recipients_of(blocked) // _EVERY
    for index in range(in_traffic):
        yield f"+1555{index * _EVERY:07d}"
    for index in range(blocked - in_traffic):
        yield f"+1556{index:07d}"


async def write_topic(settings: Settings, blocked: int) -> None:
    """Write the same list to its topic, as a reader with a copy of its own needs it."""
    numbers, count = _numbers(blocked), 0
    async with bulk_writer(settings, Topics.under(settings.topic_prefix).block_list) as out:
        while chunk := list(islice(numbers, _CHUNK)):
            records = []
            for number in chunk:
                key = entry_key(ACCOUNT, number)
                value = wire_blocks.write_entry(key, (_block(count, _SINCE_MS),))
                assert value is not None  # it has a block
                records.append((key.encode(), value))
                count += 1
            await out.send(records)


async def fill(settings: Settings, blocked: int) -> Memory:
    """Build the list like a rebuild does, and measure its memory."""
    client = RedisClient(settings.redis_url, timeout_s=60)
    store = block_list_store(settings, client)
    topic = BlockListTopic(settings, Topics.under(settings.topic_prefix).block_list)
    partitions = range(settings.partitions)
    try:
        epochs = [(await store.claim(partition, at_least=0)).epoch for partition in partitions]
        for partition in partitions:
            await store.begin_rebuild(partition, epochs[partition])
        before = await _used_memory(client)
        numbers, count = _numbers(blocked), 0
        while chunk := list(islice(numbers, _CHUNK)):
            parts: dict[int, dict[str, bytes | None]] = {}
            places = partitions_of([number.encode() for number in chunk], settings.partitions)
            for number, place in zip(chunk, places, strict=True):
                parts.setdefault(place, {})[entry_key(ACCOUNT, number)] = _packed(
                    count, epochs[place]
                )
                count += 1
            for partition, entries in parts.items():
                await store.add_rebuilt(partition, epochs[partition], entries)
        ready = await topic.id()
        for partition in partitions:
            await store.finish_rebuild(
                partition,
                epochs[partition],
                mark=Mark(epochs[partition], 2),
                ready=ready,
                partitions=settings.partitions,
            )
        after = await _used_memory(client)
        hashes = [
            await client.redis.memory_usage(
                f"{settings.topic_prefix}{{{partition}}}:entries", samples=0
            )
            for partition in partitions
        ]
        for partition in partitions:
            share = range(partition, blocked, settings.partitions)
            for start in range(0, len(share), _CHUNK):
                ids = [_handled(number) for number in share[start : start + _CHUNK]]
                await store.remember(partition, epochs[partition], ids)
        with_ids = await _used_memory(client)
    finally:
        await topic.close()
        await store.close()
    return Memory(
        used=(after - before) / blocked,
        hashes=sum(hashes) / blocked,
        handled=(with_ids - after) / blocked,
    )


def _handled(index: int) -> Handled:
    """A keyword of the last six hours."""
    at_ms = _SINCE_MS + index % (6 * 3_600_000)
    return handled_message(ACCOUNT, f"SM{index:032x}", f"+1555{index:07d}", LONG_CODE, at_ms)


def _packed(index: int, epoch: int) -> bytes:
    return wire_blocks.pack((_block(index, epoch),))


def _block(index: int, epoch: int) -> Block:
    """One account block, as long as a real one."""
    change_id = change_id_of(f"SM{index:032x}", ACCOUNT_PLACE, ACCOUNT)
    since_ms = _SINCE_MS + index
    source = Source(SourceKind.KEYWORD, change_id, since_ms, since_ms)
    return Block(*ACCOUNT_PLACE, (source,), Mark(epoch, index % 10_000))


async def _used_memory(client: RedisClient) -> int:
    answer: dict[str, Any] = await client.redis.info("memory")
    return int(answer["used_memory"])
