"""The sums of counts in a real Redis: each record adds once, and lost sums are made again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from processor.config import Settings
from processor.http.count_sums import Answer, CountSums
from processor.metrics import Metrics
from processor.statistics.hourly import ALL
from processor.statistics.sums import Bucket, Counted, together
from processor.stores import sums
from processor.stores.redis_client import RedisClient, redis_client
from processor.stores.sums import SumStore
from processor.wire.json_values import to_text
from processor.wire.record_index import Extent
from tests.builders import ACCOUNT, OTHER_RECIPIENT, SERVICE, outbound_record
from tests.clinic import CLINIC, a_text, configure
from tests.installation import Installation, running, until

NOON_MS = 1_793_620_800_000  # 2026-11-02T12:00 UTC
NEVER = Extent("", 0)
MONTH, DAY = Bucket(ACCOUNT, SERVICE, "2026-11"), Bucket(ACCOUNT, SERVICE, "2026-11-02")


def a_stop(count: int = 1, **parts: str) -> Counted:
    return Counted(ACCOUNT, SERVICE, "STOP", count, NOON_MS, tuple(parts.items()))


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[RedisClient]:
    made = redis_client(settings)
    yield made
    await made.close()


@pytest.fixture
def store(settings: Settings, client: RedisClient) -> SumStore:
    return SumStore(
        client,
        prefix=settings.topic_prefix,
        name="opt-out-counts",
        partitions=1,
        clock_ms=lambda: NOON_MS,
    )


async def test_counts_are_added_once_whoever_adds_them(store: SumStore) -> None:
    begun = await store.begin(0, NEVER, Extent("T1", 5))
    assert await store.begin(0, NEVER, Extent("T2", 0)) == begun == Extent("T1", 5)
    entries = [(a_stop(2, language="es"), 5), (a_stop(language="es"), 6), (a_stop(), 7)]
    added = await store.add(0, begun, 8, first=0, entries=entries)
    assert added == await store.extent(0) == Extent("T1", 8)
    for stale in (begun, NEVER, Extent("T2", 8)):
        assert await store.add(0, stale, 9, first=0, entries=entries) == added
    found = await store.read([MONTH, DAY, Bucket(ACCOUNT, ALL, "2026", of=True)])
    assert found.sums == [
        {"at:STOP:02": 4, "language:STOP:es": 3},
        {"at:STOP:12": 4, "language:STOP:es": 3},
        {},
    ]
    assert found.extents == {0: added}


async def test_sums_that_begin_again_have_nothing_of_before(store: SumStore) -> None:
    extent = await store.begin(0, NEVER, Extent("T1", 0))
    extent = await store.add(0, extent, 1, first=0, entries=[(a_stop(9), 0)])
    extent = await store.begin(0, extent, Extent("T1", 0))
    assert (await store.read([MONTH])).sums == [{}]
    await store.add(0, extent, 1, first=0, entries=[(a_stop(2), 0)])
    assert (await store.read([MONTH])).sums == [{"at:STOP:02": 2}]


async def test_parts_without_room_are_added_up_as_others(
    store: SumStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sums, "_MOST_FIELDS", 5)
    extent = await store.begin(0, NEVER, Extent("T1", 0))
    for offset, word in enumerate(["baja", "alto", "fin", "baja", "ya", "no"]):
        entries = [(a_stop(keyword=word), offset)]
        extent = await store.add(0, extent, offset + 1, first=0, entries=entries)
    [month] = (await store.read([MONTH])).sums
    assert together([month]).total("STOP") == 6
    assert sum(together([month]).by("keyword", "STOP").values()) == 6
    assert together([month]).by("keyword", "STOP")["*"] > 0


async def test_a_day_is_forgotten_and_its_month_is_kept(
    store: SumStore, client: RedisClient, settings: Settings
) -> None:
    extent = await store.begin(0, NEVER, Extent("T1", 0))
    await store.add(0, extent, 1, first=0, entries=[(a_stop(), 0)])
    left: dict[str, int] = {}
    for period in ("2026", "2026-11", "2026-11-02"):
        key = f"{settings.topic_prefix}{{0}}:sums-1:opt-out-counts:{ACCOUNT}/{SERVICE}/{period}"
        left[period] = await client.redis.pttl(key) // 86_400_000
    assert left == {"2026": 463, "2026-11": 432, "2026-11-02": 35}


@asynccontextmanager
async def followed(settings: Settings, client: RedisClient) -> AsyncIterator[CountSums]:
    """The sums, while their topics are followed."""
    made = CountSums(settings, client, Metrics())
    tasks = [asyncio.create_task(work) for work in made.works()]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _months() -> list[Bucket]:
    month = time.strftime("%Y-%m", time.gmtime())
    return [Bucket(ACCOUNT, ALL, month), Bucket(ACCOUNT, ALL, month, of=True)]


def has(
    made: CountSums, check: Callable[[Answer], bool]
) -> Callable[[], Coroutine[Any, Any, bool]]:
    async def now() -> bool:
        answer = await made.read(_months())
        return answer.whole and check(answer)

    return now


async def test_lanes_count_and_two_processes_add_up_once(
    settings: Settings, client: RedisClient
) -> None:
    at = Installation(settings)
    await configure(settings, CLINIC)
    async with followed(settings, client) as ours, followed(settings, client) as theirs:
        async with running(settings):
            await at.texts(a_text("M1", "stop"), a_text("M2", "stop", **{"from": OTHER_RECIPIENT}))
            await at.wait_for(at.topics.opt_out_counts, 1)
            await at.sends(
                outbound_record(message_sid="SM1", messaging_service_sid="MGclinic"),
                outbound_record(
                    message_sid="SM2", messaging_service_sid="MGclinic", to="+15550007777"
                ),
            )
            await at.wait_for(at.topics.allowed_sends, 1)
        for made in (ours, theirs):

            def is_counted(answer: Answer) -> bool:
                sums, of = answer.sums
                return (
                    sums.total("STOP") == 2
                    and sums.by("keyword", "STOP") == {"stop": 2}
                    and sums.by("sender_type", "STOP") == {"long_code": 2}
                    and (sums.total("refused"), sums.total("allowed")) == (1, 1)
                    and of.by("of", "refused") == {"MGclinic": 1}
                )

            await until(has(made, is_counted), "sums of matches and sends")


async def test_sums_that_redis_lost_are_not_whole_until_they_are_made_again(
    settings: Settings, client: RedisClient
) -> None:
    at = Installation(settings)
    now = to_text(time.time_ns() // 1_000_000)
    count = {"account_sid": ACCOUNT, "kind": "STOP", "count": 7, "second": now, "to": ACCOUNT}
    await at.write(at.topics.opt_out_counts, count, count)
    async with followed(settings, client) as made:
        await until(has(made, lambda one: one.sums[0].total("STOP") == 14), "sums")
        keys = [key async for key in client.redis.scan_iter(f"{settings.topic_prefix}*sums-*")]
        await client.redis.delete(*keys)
        answer = await made.read(_months())
        assert not answer.whole or answer.sums[0].total("STOP") == 14
        await until(has(made, lambda one: one.sums[0].total("STOP") == 14), "sums made again")
