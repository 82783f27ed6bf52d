"""A follower that no longer receives anything starts over, and catches up."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher

from processor.config import Settings
from processor.kafka.topics import compacted, follower
from processor.kafka.topics.follower import Follower
from processor.kafka.topics.services_topic import ServicesTopic
from processor.kafka.topics.statuses_topic import Refused, StatusesTopic
from processor.metrics import Metrics
from processor.wire.topics import Topics
from tests.clinic import CLINIC, configure
from tests.installation import Installation, running, until
from tests.schema_files import example

OTHER = {**CLINIC, "sid": "MGother", "senders": []}


@pytest.fixture
def consumers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every consumer that was started, the last one last."""
    made: list[Any] = []
    start = AIOKafkaConsumer.start

    async def noted(self: Any) -> None:
        await start(self)
        made.append(self)

    monkeypatch.setattr(AIOKafkaConsumer, "start", noted)
    return made


@asynccontextmanager
async def followed(settings: Settings) -> AsyncIterator[ServicesTopic]:
    topic = Topics.under(settings.topic_prefix).messaging_services
    services = ServicesTopic(settings, topic, Metrics())
    following = asyncio.create_task(services.follow())
    await asyncio.wait_for(services.wait_loaded(), 30)
    yield services
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


def knows(services: ServicesTopic, *sids: str) -> Callable[[], Any]:
    async def does() -> bool:
        return set(services.directory.services) == set(sids)

    return does


def cancelled(fetcher: Any) -> None:
    fetcher.error_future.cancel()


def failed(fetcher: Any) -> None:
    fetcher._get_actions_per_node = None  # it is called with every fetch


@pytest.mark.parametrize("ends", [cancelled, failed])
async def test_one_whose_fetch_task_ended_takes_the_next_change(
    settings: Settings,
    consumers: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    ends: Callable[[Any], None],
) -> None:
    monkeypatch.setattr(follower, "_DEAF_S", 3_600.0)  # noticed at once
    await configure(settings, CLINIC)
    consumers.clear()
    async with followed(settings) as services:
        [consumer] = consumers
        ends(consumer._fetcher)
        await configure(settings, OTHER)
        await until(knows(services, "MGclinic", "MGother"), "service that is followed again")
        assert not any(one.connected() for one in consumer._client._conns.values())


async def test_one_that_begins_again_has_nothing_of_what_it_had_gathered(
    settings: Settings, consumers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compacted, "_GATHER_S", math.inf)  # unless a caller waits
    await configure(settings, CLINIC)
    consumers.clear()
    async with followed(settings) as services:
        topic = services._topic
        await configure(settings, {**OTHER, "sid": "MGfirst"})  # this is taken at once
        await until(knows(services, "MGclinic", "MGfirst"), "first change")
        taken = services.view
        await configure(settings, OTHER)

        async def has_gathered() -> bool:
            return bool(topic._gathered)

        await until(has_gathered, "change that is gathered")
        end = topic._read_to.position
        begins, may_read = asyncio.Event(), asyncio.Event()
        watch = Follower.watch

        async def held(self: Follower, consumer: Any, read: Any) -> None:
            begins.set()
            await may_read.wait()
            await watch(self, consumer, read)

        monkeypatch.setattr(Follower, "watch", held)
        cancelled(consumers[0]._fetcher)
        await asyncio.wait_for(begins.wait(), 30)
        assert services.view_at(end) == taken
        assert await knows(services, "MGclinic", "MGfirst")()
        may_read.set()
        await asyncio.wait_for(services.wait_until(end), 30)
        assert await knows(services, "MGclinic", "MGfirst", "MGother")()


async def test_one_that_comes_no_further_takes_the_next_change_with_another_consumer(
    settings: Settings, consumers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "_ASK_S", 0.1)
    monkeypatch.setattr(follower, "_DEAF_S", 0.5)
    await configure(settings, CLINIC)
    consumers.clear()
    async with followed(settings) as services:
        [consumer] = consumers
        consumer.pause(*consumer.assignment())  # it silently stops fetching
        await configure(settings, OTHER)
        await until(knows(services, "MGclinic", "MGother"), "service that is followed again")


async def test_one_that_gets_no_answer_grows_old_and_begins_again(
    settings: Settings, consumers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "_ASK_S", 0.1)
    monkeypatch.setattr(follower, "_DEAF_S", 2.0)
    async with followed(settings) as services:
        silent = asyncio.Event()
        ends = Fetcher.end_offsets

        async def no_answer(self: Any, *asked: Any) -> Any:
            if len(consumers) == 1:
                await silent.wait()
            return await ends(self, *asked)

        monkeypatch.setattr(Fetcher, "end_offsets", no_answer)

        async def is_old() -> bool:
            return services.age_s > 1.5

        async def is_new() -> bool:
            return len(consumers) > 1 and services.age_s < 1.5

        await until(is_old, "follower that says that it is old")
        await until(is_new, "follower that is current again")


async def test_what_is_gone_when_a_topic_is_read_anew_is_gone(
    settings: Settings, consumers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await configure(settings, CLINIC, OTHER)
    consumers.clear()
    async with followed(settings) as services:
        await until(knows(services, "MGclinic", "MGother"), "services")
        monkeypatch.setattr(compacted, "_GO_ON_S", 0.0)  # as after a day, when no tombstone is left
        services._topic._known.add("MGforgotten")
        services.directory.services["MGforgotten"] = services.directory.services["MGother"]
        consumers[0]._fetcher.error_future.cancel()
        await until(knows(services, "MGclinic", "MGother"), "service that is gone")


async def test_who_works_on_statuses_for_long_is_not_deaf(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "_ASK_S", 0.05)
    at, taken, released = Installation(settings), list[str](), asyncio.Event()

    async def take(statuses: Any) -> Refused:
        taken.extend(one.message_sid for one in statuses)
        await released.wait()
        return ()

    topic = at.topics.message_statuses
    statuses = StatusesTopic(
        settings, topic, group=f"{settings.topic_prefix}api", take=take, metrics=Metrics()
    )
    following = asyncio.create_task(statuses.follow())
    status = example("message-statuses.v1", "refused_by_a_block_for_the_account")
    await at.write(topic, status)

    async def is_taken() -> bool:
        return bool(taken)

    await until(is_taken, "status")
    monkeypatch.setattr(follower, "_DEAF_S", 0.5)
    since = time.monotonic()
    await at.write(topic, status)  # beyond where it is

    async def is_long() -> bool:
        return time.monotonic() > since + 2

    await until(is_long, "two seconds")
    monkeypatch.setattr(follower, "_DEAF_S", 60.0)
    released.set()

    async def are_both_taken() -> bool:
        return len(taken) > 1

    await until(are_both_taken, "second status")
    assert len(taken) == 2  # nothing twice: it was always the same consumer
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_one_whose_group_never_settles_joins_it_anew(
    settings: Settings, consumers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "_ASK_S", 0.1)
    monkeypatch.setattr(follower, "_DEAF_S", 3.0)  # at the start, too, it takes a while to settle
    at, taken = Installation(settings), list[str]()

    async def take(statuses: Any) -> Refused:
        taken.extend(one.message_sid for one in statuses)
        return ()

    topic = at.topics.message_statuses
    statuses = StatusesTopic(
        settings, topic, group=f"{settings.topic_prefix}api", take=take, metrics=Metrics()
    )
    following = asyncio.create_task(statuses.follow())

    async def is_assigned() -> bool:
        return bool(consumers) and bool(consumers[0].assignment())

    await until(is_assigned, "member with partitions")
    consumers[0]._subscription.subscription._begin_reassignment()
    await at.write(topic, example("message-statuses.v1", "refused_by_a_block_for_the_account"))

    async def is_taken() -> bool:
        return bool(taken)

    await until(is_taken, "status that another consumer read")
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_a_worker_whose_configuration_is_old_is_not_ready(settings: Settings) -> None:
    async with running(settings) as worker:

        async def is_ready() -> bool:
            return not worker.unready()

        await until(is_ready, "worker that is ready")
        heard_at = worker.shared.services._topic._follower._current_at
        assert heard_at is not None
        worker.shared.services._topic._follower._current_at = heard_at - 1_000
        assert any("the configuration was current" in reason for reason in worker.unready())
        assert b'optout_follower_age_seconds{follower="services"} 1' in worker.shared.metrics.text()
