"""Look-ups: one round trip for all simultaneous callers, and no data that cannot be trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from processor.core.blocks import NO_MARK, Mark
from processor.core.partitions import partition_of
from processor.errors import BrokerUnavailable
from processor.stores.block_list import Snapshot
from processor.stores.memory import MemoryBlockList
from processor.stores.whole_list import WholeList
from tests.installation import until

PARTITIONS = 4
NUMBERS = [f"+1555000{number:04d}" for number in range(40)]
BLOCKED = NUMBERS[::3]


class Truth:
    """A durable truth with configured answers."""

    def __init__(self) -> None:
        self.topic_id = "topic"
        self.last = NO_MARK
        self.asked = 0
        self.down = False
        self.settles: asyncio.Event | None = None  # None: at once

    async def id(self) -> str:
        return self.topic_id

    async def settled_mark(self, partition: int) -> Mark:
        self.asked += 1
        if self.down:
            raise BrokerUnavailable("Kafka: down")
        if self.settles:
            await self.settles.wait()
        return self.last


class Counting(MemoryBlockList):
    """Counts its trips."""

    trips = 0

    async def read_many(self, keys: Mapping[int, Sequence[str]]) -> Mapping[int, Snapshot]:
        self.trips += 1
        found = await super().read_many(keys)
        await asyncio.sleep(0)  # the way back
        return found


async def a_list(truth: Truth) -> tuple[WholeList, Counting]:
    store = Counting(lambda: 1_000)
    for place in range(PARTITIONS):
        await rebuild(store, place)
    asked = WholeList(partitions=PARTITIONS, store=store, truth=truth)
    await asked.learn()
    return asked, store


async def rebuild(store: MemoryBlockList, place: int, ready: str = "topic") -> None:
    epoch = (await store.claim(place, at_least=0)).epoch
    here = {one: b"[1]" for one in BLOCKED if partition_of(one.encode(), PARTITIONS) == place}
    await store.begin_rebuild(place, epoch)
    await store.add_rebuilt(place, epoch, here)
    mark = Mark(epoch, 2)
    await store.finish_rebuild(place, epoch, mark=mark, ready=ready, partitions=PARTITIONS)


async def blocked(asked: WholeList, numbers: Sequence[str]) -> list[str]:
    found = await asyncio.wait_for(asked.look(numbers), 10)
    return [number for number, one in zip(numbers, found, strict=True) if one.value]


async def test_recipients_of_every_partition_are_found_in_their_order() -> None:
    asked, _ = await a_list(Truth())
    assert await blocked(asked, NUMBERS) == BLOCKED
    assert await blocked(asked, NUMBERS[::-1]) == BLOCKED[::-1]


async def test_those_who_ask_at_once_share_a_trip() -> None:
    asked, store = await a_list(Truth())
    await blocked(asked, NUMBERS)
    store.trips = 0
    answers = await asyncio.gather(*(blocked(asked, NUMBERS[at:]) for at in range(20)))
    assert answers == [[one for one in BLOCKED if one in NUMBERS[at:]] for at in range(20)]
    assert store.trips <= 2


async def test_who_asks_while_a_trip_is_under_way_is_not_answered_from_it() -> None:
    asked, store = await a_list(Truth())
    await blocked(asked, NUMBERS)
    store.trips = 0
    early = asyncio.create_task(blocked(asked, NUMBERS[1:2]))
    while not store.trips:
        await asyncio.sleep(0)
    place = partition_of(NUMBERS[1].encode(), PARTITIONS)
    await rebuild(store, place)
    later = asyncio.create_task(asked.look(NUMBERS[1:2]))
    assert await early == []
    (found,) = await later
    assert found.mark == (await store.read(place, ())).meta.mark


async def test_a_part_that_is_not_whole_is_waited_for_and_holds_up_no_other() -> None:
    asked, store = await a_list(Truth())
    await blocked(asked, NUMBERS)
    place = partition_of(NUMBERS[0].encode(), PARTITIONS)
    others = [one for one in NUMBERS if partition_of(one.encode(), PARTITIONS) != place]
    await store.declare_lost(place)
    waiting = asyncio.create_task(blocked(asked, NUMBERS))
    assert await blocked(asked, others) == [one for one in others if one in BLOCKED]

    async def said() -> bool:
        return asked.waits_for == ["the block list is not whole; its owner rebuilds it"]

    await until(said, "word of what is waited for")
    assert not waiting.done()
    await rebuild(store, place)
    assert await waiting == BLOCKED
    assert asked.waits_for == []


async def test_a_list_behind_its_truth_is_not_believed() -> None:
    truth = Truth()
    truth.last = Mark(10**15, 1)
    asked, _ = await a_list(truth)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asked.look(NUMBERS[:1]), 0.2)
    assert asked.waits_for == ["Redis lost writes; the owner of the list rebuilds it"]


async def test_a_list_of_a_topic_made_anew_is_believed_once_it_is_rebuilt() -> None:
    truth = Truth()
    asked, store = await a_list(truth)
    truth.topic_id = "another"
    for place in range(PARTITIONS):
        await rebuild(store, place, "another")
    assert await blocked(asked, NUMBERS) == BLOCKED


async def test_who_gives_up_takes_the_answer_from_nobody() -> None:
    asked, store = await a_list(Truth())
    place = partition_of(NUMBERS[0].encode(), PARTITIONS)
    await store.declare_lost(place)
    hasty = asyncio.create_task(asked.look(NUMBERS[:1]))
    patient = asyncio.create_task(blocked(asked, NUMBERS[:1]))
    await asyncio.sleep(0)
    hasty.cancel()
    await rebuild(store, place)
    assert await patient == NUMBERS[:1]


async def test_a_truth_that_cannot_be_asked_is_an_error_and_not_a_verdict() -> None:
    truth = Truth()
    truth.down = True
    asked, _ = await a_list(truth)
    with pytest.raises(BrokerUnavailable):
        await blocked(asked, NUMBERS)
    truth.down = False
    assert await blocked(asked, NUMBERS) == BLOCKED


async def test_what_still_waits_is_given_up_at_the_end() -> None:
    asked = WholeList(partitions=PARTITIONS, store=Counting(lambda: 1_000), truth=Truth())
    await asked.learn()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await asked.look(NUMBERS[:1])  # nobody has built the list
    assert asked.waiting == 1
    await asked.close()
    assert asked.waiting == 0
