"""The figures of the overview: blocked recipients, warnings, earlier days, letters by account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from processor.core.blocks import Mark
from processor.http.blocked_counts import BlockedCounts
from processor.http.console.overview import earlier_days
from processor.http.service_warnings import ServiceWarnings
from processor.statistics.usual_range import Usual, usual_until_now
from processor.stores.block_list import BatchWrite
from processor.stores.memory import MemoryBlockList
from processor.wire.dead_letters import account_of
from processor.wire.services import write_stored
from tests.builders import ACCOUNT, NOW_MS, OTHER_ACCOUNT
from tests.installation import until
from tests.stored import a_stored_service

HOUR_MS = 3_600_000


@asynccontextmanager
async def at_once() -> AsyncIterator[None]:
    yield


@contextmanager
def followed(work: Any) -> Iterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()


async def a_list(*keys: str) -> MemoryBlockList:
    """A list of two partitions; the second has the keys."""
    store = MemoryBlockList(lambda: NOW_MS)
    for partition in (0, 1):
        epoch = (await store.claim(partition, at_least=0)).epoch
        await store.begin_rebuild(partition, epoch)
        mark = Mark(epoch, 2)
        await store.finish_rebuild(partition, epoch, mark=mark, ready="T", partitions=2)
    put = dict.fromkeys(keys, b"blocks")
    before: dict[str, bytes | None] = dict.fromkeys(keys)
    meta = (await store.read(1, ())).meta
    mark = Mark(meta.epoch, meta.mark.counter + 1)
    await store.write(1, BatchWrite(meta.epoch, meta.mark, mark, put, before, ()))
    return store


async def test_blocked_recipients_are_counted_by_account_once_a_person_asks() -> None:
    store = await a_list(*(f"{ACCOUNT}/+1555{one:07}" for one in range(1_500)))
    other = f"{OTHER_ACCOUNT}/whatsapp:+15550000001"
    meta = (await store.read(1, ())).meta
    mark = Mark(meta.epoch, meta.mark.counter + 1)
    await store.write(
        1, BatchWrite(meta.epoch, meta.mark, mark, {other: b"blocks"}, {other: None}, ())
    )
    counts = BlockedCounts(store, 2, at_once)

    async def known() -> bool:
        return counts.of(ACCOUNT) is not None

    assert not await known()
    with followed(counts.follow()):
        await until(known, "count")
        of = [counts.of(one) for one in (ACCOUNT, OTHER_ACCOUNT, "AC3", None)]
        assert [one.count for one in of if one] == [1_500, 1, 0, 1_501]


async def test_recipients_of_a_list_that_is_rebuilt_are_not_known() -> None:
    store = await a_list(f"{ACCOUNT}/+15550000001")
    await store.declare_lost(0)
    counts = BlockedCounts(store, 2, at_once)
    assert counts.of(ACCOUNT) is None

    async def said() -> bool:
        return "not whole" in counts.why_not

    with followed(counts.follow()):
        await until(said, "reason")
        assert counts.of(ACCOUNT) is None


def a_stored(sid: str, **changes: Any) -> Any:
    service = a_stored_service(sid, **changes)
    value = write_stored(service)
    return SimpleNamespace(head=service, value=value, whole=lambda: service)


async def test_each_version_of_a_service_is_looked_at_once_for_warnings() -> None:
    words = {"STOP": {"keywords": ["stop", "ja"], "reply": "x"}}
    opt_out: Any = {"standard": {}, "languages": {"de": words}, "countries": {}}
    good, bad = a_stored("MG1"), a_stored("MG2", opt_out=opt_out)
    stored: Any = {"MG1": good, "MG2": bad}
    known = ServiceWarnings(stored, at_once)
    assert known.of([good, bad]) == ([], 2)

    async def looked() -> bool:
        return known.of(stored.values())[1] == 0

    with followed(known.follow()):
        await until(looked, "look")
        [warned] = known.of(stored.values())[0]
        assert (warned.service.sid, warned.warnings > 0) == ("MG2", True)
        stored["MG2"] = a_stored("MG2")
        assert known.of(stored.values()) == ([], 1)
        await until(looked, "look at the new version")
        assert known.of(stored.values()) == ([], 0)


def test_earlier_days_end_at_the_same_hour() -> None:
    now_ms = 20_000 * 24 * HOUR_MS + 2 * HOUR_MS  # 02:00, so three hours of each day
    hours = [1] * (7 * 24)
    hours[-1 - 24] = 50  # yesterday at two
    hours[-2 - 2 * 24] = 7  # at one, the day before
    hours[-4] = 1_000  # yesterday at 23
    assert earlier_days(hours, now_ms, 7 * 24) == [3, 3, 3, 3, 9, 52]
    assert earlier_days(hours, now_ms, 50) == [9, 52]
    assert earlier_days(hours, now_ms, 3) == []


@pytest.mark.parametrize(
    ("days", "usual"),
    [([5, 5], None), ([0, 0, 0], Usual(0.0, 9.0)), ([400, 400, 400], Usual(239.8, 560.2))],
)
def test_the_range_until_now_takes_three_days(days: list[int], usual: Usual | None) -> None:
    found = usual_until_now(days)
    assert found == usual or (found and tuple(round(one, 1) for one in found) == usual)


@pytest.mark.parametrize(
    ("value", "account"),
    [
        (b'{"account_sid":"AC1","body":"stop"}', "AC1"),
        (b'{"account_sid":7}', ""),
        (b'{"body":"stop"}', ""),
        (b"\xff", ""),
        (b"[1]", ""),
        (None, ""),
    ],
)
def test_a_letter_belongs_to_the_account_that_its_record_names(
    value: bytes | None, account: str
) -> None:
    assert account_of(value) == account
