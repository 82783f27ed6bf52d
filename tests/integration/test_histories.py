"""One recipient's history in a partition full of others', whatever happens to its index."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from redis.asyncio import Redis

from processor import histories
from processor.config import Settings
from processor.core.messages import bare_number
from processor.core.partitions import partition_of
from processor.errors import BrokerUnavailable
from processor.kafka.topics import index_follower, topic_admin
from processor.kafka.topics import indexed_topic as kafka_histories
from processor.kafka.topics.indexed_topic import History, Newest
from processor.kafka.writing import bulk_writer
from processor.stores.redis_client import redis_client
from processor.wire.topics import Topics
from tests.builders import ACCOUNT, OTHER_ACCOUNT, RECIPIENT
from tests.installation import until
from tests.integration.conftest import Command

_EXAMPLE = Path("schemas/examples/block-changes.v1/stop_blocks_for_the_account.json")
_CHANGE: dict[str, Any] = orjson.loads(_EXAMPLE.read_bytes())
_NUMBER = bare_number(RECIPIENT)


def a_change(number: str = _NUMBER, account_sid: str = ACCOUNT, of: int = 0) -> dict[str, Any]:
    return _CHANGE | {
        "recipient": number,
        "account_sid": account_sid,
        "change_id": f"SM{of}.a.masniqnu65ht2",
    }


def numbers_beside(settings: Settings) -> Iterator[str]:
    """Other numbers of the recipient's partition: the same thousand, repeated."""
    place = partition_of(_NUMBER.encode(), settings.partitions)
    numbers = (f"+1555{number:07}" for number in range(1 << 20))
    beside = (one for one in numbers if partition_of(one.encode(), settings.partitions) == place)
    return cycle(list(islice((one for one in beside if one != _NUMBER), 1_000)))


async def write(settings: Settings, *changes: dict[str, Any]) -> None:
    async with bulk_writer(settings, Topics.under(settings.topic_prefix).block_changes) as out:
        for at in range(0, len(changes), 10_000):
            some = changes[at : at + 10_000]
            await out.send([(one["recipient"].encode(), orjson.dumps(one)) for one in some])


@asynccontextmanager
async def opened(settings: Settings, *, patient: bool = False) -> AsyncIterator[History]:
    redis = redis_client(settings)
    history = histories.block_changes(settings, redis, patient=patient)
    try:
        yield history
    finally:
        await history.close()
        await redis.close()


@asynccontextmanager
async def followed(settings: Settings) -> AsyncIterator[History]:
    """A history whose index is kept, as an API does."""
    async with opened(settings) as history:
        following = asyncio.create_task(history.follow())
        try:
            yield history
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def newest(history: History, part: str | None = ACCOUNT, **given: Any) -> Newest:
    partition = partition_of(_NUMBER.encode(), history._indexing._partitions)
    return await history.newest(partition, _NUMBER, part, **{"most": 100, **given})


def ids(found: Newest) -> list[str]:
    return [orjson.loads(one.value)["change_id"].partition(".")[0] for one in found.records]


async def is_indexed(settings: Settings, history: History) -> None:
    """Wait until the index of the recipient's partition has everything."""
    partition = partition_of(_NUMBER.encode(), settings.partitions)

    async def done() -> bool:
        end = await history._reader.end_of(partition, committed=False)
        extent = await history._index.extent(partition)
        return extent.topic_id == await history._reader.id() and extent.next >= end

    await until(done, "index that is whole", 300.0)


async def index_keys(settings: Settings) -> dict[bytes, bytes]:
    """The index as it is now, to be put back."""
    async with Redis.from_url(settings.redis_url) as redis:
        pattern = f"{settings.topic_prefix}*:index-*"
        keys = [key async for key in redis.scan_iter(pattern)]
        return {key: await redis.dump(key) or b"" for key in keys}


async def put_back(settings: Settings, keys: dict[bytes, bytes]) -> None:
    """Put Redis back as it was."""
    async with Redis.from_url(settings.redis_url) as redis:
        now = await index_keys(settings)
        if now:
            await redis.delete(*now)
        for key, value in keys.items():
            await redis.restore(key, 0, value)


async def test_of_300_000_changes_of_others_none_is_read(
    settings: Settings, optout: Command
) -> None:
    """Finding 10 and B13: a history was read from its beginning, five years back."""
    others = numbers_beside(settings)
    for of in range(3):
        await write(settings, a_change(of=of))
        await write(settings, *(a_change(next(others), OTHER_ACCOUNT) for _ in range(100_000)))
        # Another account's records about the number do not make its history longer to read.
        await write(settings, *(a_change(account_sid=OTHER_ACCOUNT) for _ in range(500)))
    async with followed(settings) as history:
        await is_indexed(settings, history)
        found = await newest(history)
        assert (ids(found), found.below) == (["SM2", "SM1", "SM0"], None)
        assert found.read == 3
        await write(settings, a_change(of=3))
        found = await newest(history, most=1)  # whether the index has it already or not
        assert ids(found) == ["SM3"]
        assert found.read <= 2
        await is_indexed(settings, history)
        past = await optout("blocks", "history", RECIPIENT, "--json")
    lines = [orjson.loads(line) for line in past.stdout.splitlines()]
    assert len(lines) == 1_504
    assert [one["change_id"][:3] for one in lines if one["account_sid"] == ACCOUNT] == [
        f"SM{of}" for of in range(4)
    ]
    assert past.stderr == ""


async def test_a_history_is_read_page_by_page_from_any_place(settings: Settings) -> None:
    others = numbers_beside(settings)
    for of in range(7):
        await write(settings, a_change(of=of), a_change(next(others)))
    for indexed in (False, True):
        async with followed(settings) if indexed else opened(settings) as history:
            if indexed:
                await is_indexed(settings, history)
            found, below = [], None
            while True:
                page = await newest(history, most=3, below=below)
                found.append(ids(page))
                below = page.below
                if below is None:
                    break
            assert found == [["SM6", "SM5", "SM4"], ["SM3", "SM2", "SM1"], ["SM0"]]
            assert ids(await newest(history, most=2, skip=4)) == ["SM2", "SM1"]
            assert ids(await newest(history, skip=7)) == []
            [*_, third, _, _] = (await newest(history)).records
            since = await newest(history, since_ms=third.timestamp)
            assert set(ids(since)) >= {"SM6", "SM5", "SM4", "SM3", "SM2"}
            assert (ids(await newest(history, since_ms=1 << 42)), since.below) == ([], None)
            assert ids(await newest(history, OTHER_ACCOUNT)) == []


async def test_a_lost_index_is_made_again_and_meanwhile_nothing_is_left_out(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_follower, "_LOST_S", 0.2)
    monkeypatch.setattr(kafka_histories, "_MOST_BEHIND", 50)
    others = numbers_beside(settings)
    await write(settings, *(a_change(of=of) for of in range(5)))
    expected = [f"SM{of}" for of in range(4, -1, -1)]
    async with opened(settings) as alone:
        assert ids(await newest(alone)) == expected  # from the topic, as it is short
        await write(settings, *(a_change(next(others)) for _ in range(50)))
        with pytest.raises(BrokerUnavailable, match=r"index is being made, 55 offsets to go"):
            await newest(alone)
    async with opened(settings, patient=True) as patient:  # a command reads all of it
        found = await newest(patient)
        assert (ids(found), found.read) == (expected, 55)
    async with followed(settings) as history:
        await is_indexed(settings, history)
        assert ids(await newest(history)) == expected
        await put_back(settings, {})
        await is_indexed(settings, history)  # without any new record
        found = await newest(history)
        assert (ids(found), found.read) == (expected, 5)


async def test_a_redis_that_went_back_is_caught_up_with(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_follower, "_LOST_S", 0.2)
    await write(settings, *(a_change(of=of) for of in range(3)))
    async with followed(settings) as history:
        await is_indexed(settings, history)
        before = await index_keys(settings)
        await write(settings, a_change(of=3))
        await is_indexed(settings, history)
        await put_back(settings, before)
        await write(settings, a_change(of=4))
        await is_indexed(settings, history)
        found = await newest(history)
    assert (ids(found), found.read) == ([f"SM{of}" for of in range(4, -1, -1)], 5)


async def test_several_processes_keep_one_index_and_nothing_is_in_it_twice(
    settings: Settings,
) -> None:
    others = numbers_beside(settings)
    async with followed(settings) as one, followed(settings) as two:
        for of in range(20):
            await write(settings, *(a_change(next(others)) for _ in range(300)), a_change(of=of))
        await is_indexed(settings, one)
        found = [await newest(history) for history in (one, two)]
    expected = [f"SM{of}" for of in range(19, -1, -1)]
    assert [(ids(page), page.read) for page in found] == [(expected, 20)] * 2


async def test_an_index_of_another_topic_is_made_anew(settings: Settings) -> None:
    await write(settings, a_change(of=1))
    async with followed(settings) as history:
        await is_indexed(settings, history)
    other = {}
    async with Redis.from_url(settings.redis_url) as redis:
        for key in await index_keys(settings):
            if await redis.type(key) == b"hash":
                other[key] = await redis.hset(key, mapping={"topic": "another", "next": 1_000_000})
    assert other
    async with opened(settings) as alone:
        assert ids(await newest(alone)) == ["SM1"]
    async with followed(settings) as history:
        await is_indexed(settings, history)
        found = await newest(history)
    assert (ids(found), found.read) == (["SM1"], 1)


async def test_an_index_that_is_longer_than_the_log_is_made_anew(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_follower, "_SURE_S", 0.1)
    await write(settings, a_change(of=1))
    async with followed(settings) as history:
        await is_indexed(settings, history)
    async with Redis.from_url(settings.redis_url) as redis:
        for key in await index_keys(settings):
            if await redis.type(key) == b"hash":
                await redis.hset(key, "next", 1_000_000)
    async with followed(settings) as history:

        async def is_begun() -> bool:
            partition = partition_of(_NUMBER.encode(), settings.partitions)
            return (await history._index.extent(partition)).next == 1

        await until(is_begun, "index that was restarted")
        assert ids(await newest(history)) == ["SM1"]


async def test_what_the_topic_has_let_go_of_is_not_asked_for(settings: Settings) -> None:
    await write(settings, *(a_change(of=of) for of in range(6)))
    topic = Topics.under(settings.topic_prefix).block_changes
    tp = TopicPartition(topic, partition_of(_NUMBER.encode(), settings.partitions))
    async with followed(settings) as history:
        await is_indexed(settings, history)
        async with topic_admin._admin(settings) as admin:
            await admin.delete_records({tp: RecordsToDelete(before_offset=4)})
        found = await newest(history)
        assert (ids(found), found.below, found.read) == (["SM5", "SM4"], None, 2)
    async with followed(settings) as history:  # it finds at its start which records are gone
        await write(settings, a_change(of=6))
        await is_indexed(settings, history)
        known = await history._index.find(tp.partition, _NUMBER, ACCOUNT, below=None, most=9)
        assert known.offsets == [6, 5, 4]
