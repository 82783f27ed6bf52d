"""R25, R32: the gate judges a user id by the entry of the number that it has a link to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from processor.core.blocks import NO_NAMES, Blocks, Mark, Names, SourceKind
from processor.core.partitions import partition_of
from processor.metrics import Metrics
from processor.stages.gate_outbound import GateOutbound
from processor.stores.block_list import BatchWrite
from processor.stores.memory import MemoryBlockList
from processor.wire import blocks as wire_blocks
from tests.builders import ACCOUNT, NOW_MS, a_block, a_place
from tests.gates import TOPICS, a_gate, a_record
from tests.one_lane import TOPIC_ID, Kept

PARTITIONS = 8
NUMBER = "+15557654321"
AT_NUMBER = partition_of(NUMBER.encode(), PARTITIONS)
ID = next(
    one
    for one in (f"US.{number}" for number in range(100))
    if partition_of(one.encode(), PARTITIONS) != AT_NUMBER
)
NEIGHBOUR = next(
    one
    for one in (f"+1555123{number:04}" for number in range(100))
    if partition_of(one.encode(), PARTITIONS) == AT_NUMBER
)
AT_ID = partition_of(ID.encode(), PARTITIONS)
BLOCKED: Blocks = (a_block(),)
BEFORE: Blocks = (a_block(a_place(), SourceKind.COMMAND),)  # made before the link
LINK, MERGED = Names(link=NUMBER), Names(ids=(ID,))


async def put(
    store: MemoryBlockList, subscriber: str, blocks: Blocks, names: Names = NO_NAMES
) -> None:
    """Write an entry, as the owner of its partition does."""
    at = partition_of(subscriber.encode(), PARTITIONS)
    meta = (await store.read(at, ())).meta
    after = {f"{ACCOUNT}/whatsapp:{subscriber}": wire_blocks.pack(blocks, names)}
    mark = Mark(meta.epoch, meta.mark.counter + 1)
    await store.write(at, BatchWrite(meta.epoch, meta.mark, mark, after, {}, ()))


async def make_whole(store: MemoryBlockList, partition: int) -> None:
    epoch = (await store.claim(partition, at_least=0)).epoch
    await store.begin_rebuild(partition, epoch)
    await store.finish_rebuild(
        partition, epoch, mark=Mark(epoch, 2), ready=TOPIC_ID, partitions=PARTITIONS
    )


async def a_world() -> tuple[MemoryBlockList, GateOutbound, Metrics]:
    """A list whose parts are whole, and the gate of the id's partition."""
    store, metrics = MemoryBlockList(lambda: NOW_MS), Metrics()
    gate = await a_gate(store, metrics, partition=AT_ID, partitions=PARTITIONS)
    await make_whole(store, AT_NUMBER)
    return store, gate, metrics


def a_send() -> Any:
    record = a_record(f"whatsapp:{ID}", from_="whatsapp:+15551234567")
    return record._replace(key=ID.encode(), partition=AT_ID)


@pytest.mark.parametrize(
    ("of_id", "of_number", "is_allowed"),
    [
        (((), LINK), ((), NO_NAMES), True),
        (((), LINK), (BLOCKED, MERGED), False),
        (((), LINK), (BLOCKED, NO_NAMES), False),
        ((BEFORE, LINK), ((), NO_NAMES), False),  # the blocks are not merged yet
        ((BEFORE, LINK), ((), MERGED), True),  # they are, and were lifted since
        ((BEFORE, LINK), (BLOCKED, MERGED), False),
        ((BEFORE, NO_NAMES), ((), NO_NAMES), False),
    ],
)
async def test_r32_a_send_to_a_user_id_is_judged_by_the_entry_of_its_number(
    of_id: tuple[Blocks, Names], of_number: tuple[Blocks, Names], *, is_allowed: bool
) -> None:
    store, gate, _ = await a_world()
    await put(store, ID, *of_id)
    if of_number != ((), NO_NAMES):
        await put(store, NUMBER, *of_number)
    out = Kept()
    batch = await gate.process([a_send()], out)
    assert len(out.of(TOPICS.allowed_sends)) == is_allowed
    assert len(out.of(TOPICS.message_statuses)) == (not is_allowed)
    assert await batch.still_holds()


async def test_r25_a_verdict_on_a_user_id_holds_until_its_number_is_blocked() -> None:
    store, gate, _ = await a_world()
    await put(store, ID, (), LINK)
    out = Kept()
    batch = await gate.process([a_send()], out)
    mark = (await store.read(AT_NUMBER, ())).meta.mark
    [allowed] = out.of(TOPICS.allowed_sends)
    assert dict(allowed.headers)["optout.linked"] == f"{AT_NUMBER}:{mark}".encode()
    await put(store, NEIGHBOUR, BLOCKED)  # the list moves; the verdict is the same
    assert await batch.still_holds()
    await put(store, NUMBER, BLOCKED, MERGED)
    assert not await batch.still_holds()


async def test_r25_a_verdict_on_a_user_id_holds_until_it_gets_a_link_to_a_blocked_number() -> None:
    store, gate, _ = await a_world()
    await put(store, NUMBER, BLOCKED)
    batch = await gate.process([a_send()], Kept())
    assert await batch.still_holds()
    await put(store, ID, (), LINK)
    assert not await batch.still_holds()


async def test_r25_the_gate_waits_where_the_list_of_the_number_cannot_be_trusted() -> None:
    store, gate, _ = await a_world()
    await put(store, ID, (), LINK)
    epoch = (await store.claim(AT_NUMBER, at_least=0)).epoch
    await store.begin_rebuild(AT_NUMBER, epoch)
    judging = asyncio.ensure_future(gate.process([a_send()], out := Kept()))
    while gate.waits_for is None:
        await asyncio.sleep(0)
    assert not judging.done()
    await store.finish_rebuild(
        AT_NUMBER, epoch, mark=Mark(epoch, 2), ready=TOPIC_ID, partitions=PARTITIONS
    )
    await put(store, NUMBER, BLOCKED, MERGED)
    await judging
    assert gate.waits_for is None
    assert out.of(TOPICS.allowed_sends) == []


async def test_r25_a_number_whose_entry_cannot_be_read_blocks_its_ids() -> None:
    store, gate, _ = await a_world()
    await put(store, ID, (), LINK)
    meta = (await store.read(AT_NUMBER, ())).meta
    after = {f"{ACCOUNT}/whatsapp:{NUMBER}": b"[2]"}
    mark = Mark(meta.epoch, meta.mark.counter + 1)
    await store.write(AT_NUMBER, BatchWrite(meta.epoch, meta.mark, mark, after, {}, ()))
    out = Kept()
    await gate.process([a_send()], out)
    assert out.of(TOPICS.allowed_sends) == []
