"""The gate of one partition, over a list in memory: its batches up to the commit."""

from __future__ import annotations

from typing import Any

import pytest

from processor.core.blocks import Block, Mark
from processor.core.messages import Scope
from processor.metrics import Metrics
from processor.stores.block_list import BatchWrite
from processor.stores.memory import MemoryBlockList
from processor.wire import blocks as wire_blocks
from processor.wire.send_counts import Judged
from tests.builders import (
    ACCOUNT,
    ENTRY,
    NOW_MS,
    OTHER_RECIPIENT,
    OTHER_SERVICE,
    RECIPIENT,
    SERVICE,
    a_block,
    a_place,
    a_service,
)
from tests.gates import TOPICS, a_gate, a_record
from tests.one_lane import Kept

pytestmark = pytest.mark.usefixtures("readers")


async def block(store: MemoryBlockList, key: str, what: Block | None = None) -> None:
    """Block a recipient, as the list's owner does."""
    meta = (await store.read(0, ())).meta
    after = {key: wire_blocks.pack((what or a_block(),))}
    mark = Mark(meta.epoch, meta.mark.counter + 1)
    await store.write(0, BatchWrite(meta.epoch, meta.mark, mark, after, {key: None}, ()))


@pytest.mark.parametrize(("blocked", "holds"), [(RECIPIENT, False), (OTHER_RECIPIENT, True)])
async def test_r24_a_batch_holds_until_one_of_its_own_recipients_is_blocked(
    blocked: str, holds: bool
) -> None:
    store, out = MemoryBlockList(lambda: NOW_MS), Kept()
    gate = await a_gate(store, Metrics())
    batch = await gate.process([a_record()], out)
    assert await batch.still_holds()
    await block(store, ENTRY.replace(RECIPIENT, blocked))
    assert await batch.still_holds() is holds
    assert len(out.of(TOPICS.allowed_sends)) == 1
    again = await gate.process([a_record()], Kept())
    assert await again.still_holds()


async def test_a_batch_counts_its_verdicts_once_it_is_committed() -> None:
    store, metrics = MemoryBlockList(lambda: NOW_MS), Metrics()
    gate = await a_gate(store, metrics)
    await block(store, ENTRY)
    batch = await gate.process([a_record(), a_record(OTHER_RECIPIENT)], Kept())

    def counted() -> list[float | None]:
        return [
            metrics.registry.get_sample_value("optout_verdicts_total", {"verdict": said})
            for said in ("allowed", "refused", "suspended")
        ]

    assert (batch.note, counted()) == ("", [0, 0, 0])
    await batch.committed()
    assert counted() == [1, 1, 0]


async def test_sends_are_counted_once_committed_by_the_service_of_their_sender() -> None:
    store, counted = MemoryBlockList(lambda: NOW_MS), list[Any]()
    gate = await a_gate(store, Metrics(), [a_service()], counted)
    await block(store, ENTRY)
    of_nobody = a_record(OTHER_RECIPIENT, messaging_service_sid=None, **{"from": "+15550009999"})
    of_its_sender = a_record(OTHER_RECIPIENT, messaging_service_sid=None)
    batch = await gate.process([a_record(), a_record(), of_its_sender, of_nobody], Kept())
    assert counted == []
    await batch.committed()
    assert counted == [
        {
            Judged(ACCOUNT, SERVICE, "refused"): 2,
            Judged(ACCOUNT, SERVICE, "allowed"): 1,
            Judged(ACCOUNT, None, "allowed"): 1,
        }
    ]


async def test_sends_that_need_a_closer_look_keep_their_places_among_the_others() -> None:
    gate, out = await a_gate(MemoryBlockList(lambda: NOW_MS), Metrics()), Kept()
    pictures = ["https://example.com/map.png"]
    first, second = a_record(), a_record(OTHER_RECIPIENT, media_urls=pictures)
    broken = a_record(media_urls="none")
    await gate.process([first, broken, second, first], out)
    values = [one.value for one in out.of(TOPICS.allowed_sends)]
    assert values == [first.value, second.value, first.value]
    assert [one.value for one in out.of(TOPICS.dead_letters)] == [broken.value]


async def test_each_allowed_send_has_the_mark_and_names_its_source_whatever_is_beside_it() -> None:
    store, out = MemoryBlockList(lambda: NOW_MS), Kept()
    gate = await a_gate(store, Metrics(), [a_service()])
    await block(store, ENTRY, a_block(a_place(Scope.SERVICE, target=OTHER_SERVICE)))
    plain = a_record(OTHER_RECIPIENT)
    traced = plain._replace(offset=9, headers=(("traceparent", b"00"),))
    await gate.process([plain._replace(offset=8), traced, a_record(), plain], out)
    mark = ("mark", str((await store.read(0, ())).meta.mark).encode())
    decided = [("optout.config", b"0"), ("optout.service", SERVICE.encode())]
    assert [list(one.headers) for one in out.of(TOPICS.allowed_sends)] == [
        [mark, ("optout.source", b"8")],
        [("traceparent", b"00"), mark, ("optout.source", b"9")],
        [mark, ("optout.source", b"7"), *decided],
        [mark, ("optout.source", b"7")],
    ]
