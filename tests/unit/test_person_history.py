"""R32: the history of a user id has its own changes from before the link, and its number's."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from processor.cli.person_history import history_of, links_of
from processor.core.blocks import Mark, Names
from processor.core.partitions import partition_of
from processor.stores.block_list import BatchWrite
from processor.stores.memory import MemoryBlockList
from processor.wire import blocks as wire_blocks
from processor.wire.records import Record
from tests.builders import ACCOUNT, OTHER_ACCOUNT
from tests.small_world import Written

ID, NUMBER, PARTITIONS = "US.1", "+15557654321", 4


def changed(at_ms: int, group: str = "whatsapp", account: str = ACCOUNT) -> Written:
    value = orjson.dumps({"channel_group": group, "account_sid": account})
    return Written("block-changes.v1", 0, at_ms, at_ms, b"", value)


OWN = [changed(3), changed(1), changed(2, account=OTHER_ACCOUNT)]
OF_NUMBER = [changed(9), changed(8, "sms"), changed(2)]


async def newest(subscriber: str, account_sid: str | None) -> Sequence[Record]:
    if subscriber == ID:
        assert account_sid is None
        return sorted(OWN, key=lambda one: -one.timestamp)
    assert (subscriber, account_sid) == (NUMBER, ACCOUNT)
    return OF_NUMBER


async def test_r32_a_linked_ids_history_is_its_own_and_its_numbers_on_whatsapp() -> None:
    found = await history_of(newest, ID, {ACCOUNT: NUMBER})
    assert [one.timestamp for one in found] == [9, 3, 2, 2, 1]


async def test_r32_without_a_link_the_history_is_the_ids_own() -> None:
    assert [one.timestamp for one in await history_of(newest, ID, {})] == [3, 2, 1]


async def test_r32_the_links_of_an_id_are_found_by_account() -> None:
    store = MemoryBlockList(lambda: 0)
    partition = partition_of(ID.encode(), PARTITIONS)
    epoch = (await store.claim(partition, at_least=1)).epoch
    mark = Mark(epoch, 1)
    await store.begin_rebuild(partition, epoch)
    await store.finish_rebuild(partition, epoch, mark=mark, ready="id", partitions=PARTITIONS)
    value = wire_blocks.pack((), Names(link=NUMBER))
    entries = {f"{ACCOUNT}/whatsapp:{ID}": value, f"{ACCOUNT}/whatsapp:US.2": value}
    await store.write(partition, BatchWrite(epoch, mark, Mark(epoch, 2), entries, {}, ()))
    assert await links_of(store, PARTITIONS, ID) == {ACCOUNT: NUMBER}
    assert await links_of(store, PARTITIONS, "US.3") == {}
    assert await links_of(store, PARTITIONS, NUMBER) == {}
