"""A client whose start or stop fails or is cancelled leaves nothing open."""

from __future__ import annotations

import asyncio
import gc
import uuid
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.kafka import starting
from processor.kafka.groups import group_view
from processor.kafka.lanes.implicit_producer import ImplicitProducer
from processor.kafka.lanes.membership import Membership
from processor.kafka.lanes.source_reader import SourceReader
from processor.kafka.reading import read_whole, reader
from processor.kafka.starting import start, stop
from processor.kafka.topics import handled_messages, topic_admin
from processor.kafka.topics.block_list_topic import BlockListTopic
from processor.kafka.topics.configuration_writer import Configuration, configuration
from processor.kafka.topics.dead_letters import letters
from processor.kafka.topics.handled_messages import HandledTopics
from processor.kafka.writing import Outgoing, bulk_writer, writer
from processor.metrics import Metrics
from processor.wire.topics import Topics
from tests.contract.silent_broker import SilentBroker, silent_broker

NOTIFICATION = Path("schemas/examples/opt-out-notifications.v1/stop_again.json")
MOST_ANSWERS = 300  # no work here needs so many


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Do not wait long on a stop: nothing here has anything left to write."""
    monkeypatch.setattr(starting, "_STOP_S", 0.05)
    monkeypatch.setattr(starting, "_CONNECT_S", 0.05)
    gc.collect()
    gc.freeze()  # each collection skips the objects that exist already
    yield
    gc.unfreeze()


@pytest.fixture
async def silent(settings: Settings) -> AsyncIterator[SilentBroker]:
    async with silent_broker(settings.kafka_bootstrap) as made:
        yield made


@asynccontextmanager
async def leaving_nothing() -> AsyncIterator[None]:
    """Fail where a connection, or a task that works on it, outlives the block."""
    before = asyncio.all_tasks()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield
        gc.collect()
        await asyncio.sleep(0.01)  # a closed transport goes in the loop's next turns
        gc.collect()
    unclosed = [str(one.message) for one in warned if one.category is ResourceWarning]
    assert unclosed == []
    assert of_clients(asyncio.all_tasks() - before) == []


def of_clients(tasks: Iterable[asyncio.Task[Any]]) -> list[str]:
    """The tasks that work for a client."""
    names = [str(task.get_coro()) for task in tasks]
    return [name for name in names if "AIOKafka" in name or "Coordinator" in name]


def a_consumer(settings: Settings) -> Any:
    return AIOKafkaConsumer(**settings.kafka())


def a_member(settings: Settings) -> Any:
    group = (
        f"{settings.topic_prefix}{uuid.uuid4().hex}"  # a group without members of earlier attempts
    )
    topic = Topics.under(settings.topic_prefix).reply_sends
    return AIOKafkaConsumer(topic, **settings.kafka(), group_id=group)


def a_producer(settings: Settings) -> Any:
    return AIOKafkaProducer(**settings.kafka(), enable_idempotence=True)


def a_transactional_producer(settings: Settings) -> Any:
    return AIOKafkaProducer(**settings.kafka(), transactional_id=f"{settings.topic_prefix}one")


def an_implicit_producer(settings: Settings) -> Any:
    name = f"{settings.topic_prefix}one"
    return ImplicitProducer(settings, name, timeout_ms=5_000, request_s=10)


def an_admin(settings: Settings) -> Any:
    return AIOKafkaAdminClient(**settings.kafka())


CLIENTS = [
    a_consumer,
    a_member,
    a_producer,
    a_transactional_producer,
    an_implicit_producer,
    an_admin,
]


def through(settings: Settings, broker: SilentBroker) -> Settings:
    return settings.model_copy(update={"kafka_bootstrap": broker.address})


async def given_up_at_each_answer(
    broker: SilentBroker,
    work: Callable[[], Awaitable[None]],
    *,
    again: bool = False,
    step: int = 1,
) -> int:
    """Cancel work while it waits for its first answer, its second, and so on to its end.

    Args:
        broker: gives the answers.
        work: started again for each cancellation.
        again: cancel once more, while the first cancellation is handled.
        step: 2 tries only every second answer, and so on.

    Returns:
        How many answers the work hears when it is not cancelled.
    """
    for answers in range(0, MOST_ANSWERS, step):
        async with leaving_nothing():
            broker.answer(answers)
            task = asyncio.ensure_future(work())
            held = asyncio.ensure_future(broker.held.wait())
            await asyncio.wait([task, held], return_when=asyncio.FIRST_COMPLETED, timeout=20)
            is_done = task.done()
            held.cancel()
            task.cancel()
            if again:
                await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait([task], timeout=10)
            assert task.done(), "it does not end"
            if not task.cancelled() and (error := task.exception()):
                assert isinstance(error, KafkaError | BrokerUnavailable), repr(error)
            del task, held
        if is_done:
            return answers
    raise AssertionError("it never ends")


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("make", CLIENTS)
async def test_a_start_that_is_given_up_leaves_nothing_open(
    settings: Settings, silent: SilentBroker, make: Callable[[Settings], Any], again: bool
) -> None:
    async def work() -> None:
        client = make(through(settings, silent))
        try:
            await start(client)
        finally:
            await stop(client)

    assert await given_up_at_each_answer(silent, work, again=again) >= 2


@pytest.mark.filterwarnings("ignore")
async def test_aiokafka_itself_would_leave_some(settings: Settings, silent: SilentBroker) -> None:
    """When this fails, `processor/kafka/starting.py` is no longer needed."""

    async def work() -> None:
        consumer = a_consumer(through(settings, silent))
        try:
            await consumer.start()
        finally:
            await consumer.stop()

    with pytest.raises(AssertionError, match="Unclosed AIOKafkaConnection"):
        await given_up_at_each_answer(silent, work)


async def read(settings: Settings, topic: str) -> None:
    async with reader(settings, [topic], at_end=True) as consumer:
        await consumer.end_offsets(list(consumer.assignment()))


async def read_all(settings: Settings, topic: str) -> None:
    assert [record async for record in read_whole(settings, topic)] == []


async def write(settings: Settings, topic: str) -> None:
    async with writer(settings) as out:
        await out.send_all([Outgoing(topic, b"key", b"value")])


async def write_many(settings: Settings, topic: str) -> None:
    async with bulk_writer(settings, topic) as out:
        await out.send([(b"key", b"value")])


async def look_at_a_group(settings: Settings, topic: str) -> None:
    async with group_view(settings, f"{settings.topic_prefix}match"):
        pass


async def check_topics(settings: Settings, topic: str) -> None:
    await topic_admin.check(settings)


async def read_the_block_list(settings: Settings, topic: str) -> None:
    listed = BlockListTopic(settings, Topics.under(settings.topic_prefix).block_list)
    try:
        assert [batch async for batch in listed.entries(0)] == []
        await listed.id_and_last_mark(0)
    finally:
        await listed.close()


async def be_a_member(settings: Settings, topic: str) -> None:
    has_assigned = asyncio.Event()
    member = Membership(
        settings,
        group=f"{settings.topic_prefix}{uuid.uuid4().hex}",
        topics=[topic],
        revoked=lambda: None,
        assigned=lambda partitions: has_assigned.set(),
    )
    try:
        await start(member)
        await has_assigned.wait()
        assert await member.is_current()
    finally:
        await stop(member)


async def read_as_a_lane(settings: Settings, topic: str) -> None:
    lanes = SourceReader(settings, [topic])
    try:
        await lanes.start()
        source = TopicPartition(topic, 0)
        with closing(lanes.read({source: 0})) as reading:
            assert await reading.records([source], wait_s=0, most=1) == {}
    finally:
        await lanes.close()


async def follow_the_configuration(settings: Settings, topic: str) -> None:
    async with configuration(settings) as stored:
        await stored.update(list, actor="test")


@pytest.mark.parametrize(
    "work",
    [
        read,
        read_all,
        write,
        write_many,
        look_at_a_group,
        check_topics,
        read_the_block_list,
        be_a_member,
        read_as_a_lane,
        follow_the_configuration,
    ],
)
async def test_whatever_is_given_up_while_it_waits_for_an_answer_leaves_nothing_open(
    settings: Settings, silent: SilentBroker, work: Callable[[Settings, str], Awaitable[None]]
) -> None:
    topic = Topics.under(settings.topic_prefix).allowed_sends
    tried = through(settings, silent)
    step = 5 if work is follow_the_configuration else 1  # following takes long
    assert await given_up_at_each_answer(silent, lambda: work(tried, topic), step=step) >= 2


async def test_a_configuration_that_is_given_up_while_it_is_left_leaves_nothing_open(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow, leaving = Configuration.follow, asyncio.Event()

    async def to_the_end(self: Configuration) -> None:
        try:
            await follow(self)
        finally:
            leaving.set()
            await asyncio.sleep(0.1)

    monkeypatch.setattr(Configuration, "follow", to_the_end)
    async with leaving_nothing():
        task = asyncio.ensure_future(follow_the_configuration(settings, ""))
        await asyncio.wait_for(leaving.wait(), 20)
        task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.cancelled()
        del task
        await asyncio.sleep(0.1)


async def read_one(settings: Settings, topic: str) -> None:
    async with reader(settings, [topic], at_end=True, partitions=[0]):
        pass


async def write_one(settings: Settings, topic: str) -> None:
    async with writer(settings) as out:
        await (await out._producer.send(topic, b"value", partition=0))


@pytest.mark.parametrize("work", [read_one, write_one])
async def test_whatever_is_given_up_while_a_partition_has_no_leader_leaves_nothing_open(
    settings: Settings, silent: SilentBroker, work: Callable[[Settings, str], Awaitable[None]]
) -> None:
    topic = Topics.under(settings.topic_prefix).allowed_sends
    silent.answer(-1)  # it never falls silent
    silent.disowned = topic
    for turns in range(10):
        async with leaving_nothing():
            silent.denied.clear()
            task = asyncio.ensure_future(work(through(settings, silent), topic))
            await asyncio.wait_for(silent.denied.wait(), 20)
            await asyncio.sleep(turns * 0.005)
            assert not task.done()
            task.cancel()
            await asyncio.wait([task], timeout=10)
            assert task.cancelled()


def recent(settings: Settings) -> AsyncGenerator[Any, None]:
    topics = Topics.under(settings.topic_prefix)
    handled = HandledTopics(
        settings,
        notifications=topics.opt_out_notifications,
        suspected=topics.suspected_opt_outs,
        commands=topics.consent_commands,
        dead_letters=topics.dead_letters,
        metrics=Metrics(),
    )
    return handled.recent(0, {})


@pytest.mark.parametrize("read", [recent, letters])
async def test_a_reader_that_has_enough_closes_its_consumer_at_once(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[Settings], AsyncGenerator[Any, None]],
) -> None:
    monkeypatch.setattr(handled_messages, "_AT_ONCE", 1)
    topics = Topics.under(settings.topic_prefix)
    value = NOTIFICATION.read_bytes()  # noqa: ASYNC240 - a small one
    async with writer(settings) as out:
        for topic in (topics.opt_out_notifications, topics.dead_letters):
            send = await out._producer.send(topic, value, key=b"account/number", partition=0)
            await send
    before = asyncio.all_tasks()
    async with aclosing(read(settings)) as found:
        assert await anext(found)
    assert of_clients(asyncio.all_tasks() - before) == []
