"""The log lines of a reader whose list cannot be trusted."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from processor.core.blocks import ConfigView, Mark
from processor.core.brakes import Brake
from processor.core.identity import Handled
from processor.stores import trusted_list
from processor.stores.block_list import Snapshot
from processor.stores.memory import MemoryBlockList
from processor.stores.trusted_list import TrustedList
from tests.block_lists import PARTITIONS, Truth, rebuild
from tests.installation import until


def a_list(store: MemoryBlockList, truth: Truth) -> TrustedList:
    return TrustedList(0, partitions=PARTITIONS, store=store, truth=truth)


async def said_until_whole(
    one: TrustedList, store: MemoryBlockList, caplog: pytest.LogCaptureFixture
) -> list[tuple[str, str]]:
    """The levels and events logged from a look until the list is rebuilt and trusted."""
    caplog.set_level(logging.INFO)
    caplog.clear()
    looking = asyncio.create_task(one.look([]))

    async def waits() -> bool:
        return one.waits_for is not None

    await until(waits, "look that waits")
    await rebuild(store, 0)
    await looking
    return [(record.levelname, record.message) for record in caplog.records]


async def test_how_long_a_transaction_is_waited_for_is_told_while_it_lasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trusted_list, "_WAIT_S", (0.001, 0.001))
    store, truth, waited = MemoryBlockList(lambda: 1_000), Truth(), Counter[str]()
    truth.settles = asyncio.Event()
    one = TrustedList(
        0,
        partitions=PARTITIONS,
        store=store,
        truth=truth,
        waited=lambda reason, seconds: waited.update([reason]),
    )
    await rebuild(store, 0)
    await one.learn()
    looking = asyncio.create_task(one.look([]))

    async def told() -> bool:
        return waited["learning"] > 2

    await until(told, "wait that is logged")
    assert "settled" in (one.waits_for or "")
    assert not looking.done()
    truth.settles.set()
    await looking
    assert one.waits_for is None


async def test_a_first_start_alarms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    store, truth = MemoryBlockList(lambda: 1_000), Truth()
    one = a_list(store, truth)
    await one.learn()
    owner = await store.claim(0, at_least=0)  # it has the partition, but has not built the list yet
    await store.settle(0, owner.epoch, undo=True, whole=False)
    assert await said_until_whole(one, store, caplog) == [("INFO", "list.distrusted")]


async def test_a_list_that_was_trusted_and_is_lost_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, truth = MemoryBlockList(lambda: 1_000), Truth()
    one = a_list(store, truth)
    await one.learn()
    await rebuild(store, 0)
    await one.look([])
    store.flush()
    assert await said_until_whole(one, store, caplog) == [("WARNING", "list.distrusted")]


async def test_an_empty_redis_is_warned_of_where_the_topic_has_blocks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, truth = MemoryBlockList(lambda: 1_000), Truth()
    truth.last = Mark(1, 1)
    one = a_list(store, truth)
    await one.learn()
    assert await said_until_whole(one, store, caplog) == [("WARNING", "list.distrusted")]


@pytest.mark.parametrize(
    ("ours", "waits"),
    [
        (None, False),  # a reader that judges without a configuration
        (ConfigView("a", 7), False),
        (ConfigView("a", 9), False),
        (ConfigView("a", 6), True),
        (ConfigView("b", 9), True),
    ],
)
async def test_r21_a_reader_waits_for_the_configuration_the_list_was_decided_under(
    ours: ConfigView | None, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trusted_list, "_WAIT_S", (0.001, 0.001))
    store, truth, waited = MemoryBlockList(lambda: 1_000), Truth(), Counter[str]()
    view, asked = [ours], set[int]()

    def view_at(position: int) -> ConfigView | None:
        asked.add(position)
        return view[0]

    one = TrustedList(
        0,
        partitions=PARTITIONS,
        store=store,
        truth=truth,
        waited=lambda reason, seconds: waited.update([reason]),
        config=view_at,
    )
    await rebuild(store, 0)
    store._at(0).config = ConfigView("a", 7)
    await one.learn()
    looking = asyncio.create_task(one.look([]))
    if waits:

        async def told() -> bool:
            return waited["configuration"] > 2

        await until(told, "wait for the configuration")
        assert not looking.done()
        view[0] = ConfigView("a", 7)
    await looking
    assert one.waits_for is None
    assert asked == {7}  # so that records read up to there are applied


async def test_only_another_server_is_learnt_of() -> None:
    store, truth = Serving(lambda: 1_000), Truth()
    one, another = a_list(store, truth), a_list(store, truth)
    await rebuild(store, 0)
    for each in (one, another):
        await each.learn()
    for serves, asked in ((b"one", 2), (b"one", 2), (b"other", 4), (b"one", 6)):
        store.serves = serves
        for each in (one, another):
            await each.look([])
        assert truth.asked == asked


class Serving(MemoryBlockList):
    """Answers as the server in ``serves``."""

    serves = b""

    async def read(
        self,
        partition: int,
        keys: Sequence[str],
        ids: Sequence[Handled] = (),
        brakes: Sequence[Brake] = (),
    ) -> Snapshot:
        return replace(await super().read(partition, keys, ids, brakes), server=self.serves)
