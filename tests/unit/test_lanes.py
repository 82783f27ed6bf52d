"""Which worker may start lanes, and how their waits are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalOperation, ProducerFenced

from processor.config import Settings
from processor.kafka.lanes import partition_lane, supervisor
from processor.kafka.lanes.assignor import Owned
from processor.kafka.lanes.at_least_once import DeliveryLane
from processor.kafka.lanes.exactly_once import Lane
from processor.kafka.lanes.lane_output import LaneOutput, send
from processor.kafka.lanes.membership import _Sticky
from processor.kafka.lanes.partition_lane import LaneContext, PartitionLane, Stopped, given_up
from processor.kafka.lanes.shared_transactions import SharedTransactions
from processor.kafka.lanes.source_reader import SourceReader
from processor.kafka.lanes.supervisor import Lanes
from processor.metrics import LaneMetrics, Metrics

METRICS = LaneMetrics(Metrics(), "match")


class Member:
    """A membership as the lanes see it, and the lanes that were started under it."""

    def __init__(self, lanes: Lanes, **counts: int) -> None:
        self._counts = counts
        self.id, self.generation = "me", 1
        self.client = None
        lanes._member = self  # type: ignore[assignment]
        lanes._reader = object()  # type: ignore[assignment]

    def partition_counts(self) -> dict[str, int]:
        """0 where the last metadata answer had an error for the topic."""
        return self._counts

    def owns(self, partitions: object) -> None:
        pass


class Waiting(PartitionLane[Any]):
    """A lane that works until it is stopped."""

    is_fenced = True

    async def _take(self) -> None:
        pass

    async def _work(self) -> None:
        await self._stop.wait()

    async def _let_go(self) -> None:
        pass

    def _next_offsets(self) -> Mapping[TopicPartition, int]:
        return {}


class WaitingUnfenced(Waiting):
    """A lane that is not fenced."""

    is_fenced = False


def a_member(*topics: str, lane: type[PartitionLane[Any]] = Waiting) -> Lanes:
    return Lanes(
        Settings(),
        group="match",
        topics=topics,
        outputs=[],
        stage=lambda partition: SimpleNamespace(waits_for=None),
        metrics=METRICS,
        lane=lane,
    )


def tps(*partitions: int, topics: Sequence[str] = ("t",)) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for topic in topics for partition in partitions]


def works(lanes: Lanes) -> dict[int, object]:
    """The lane of each partition."""
    return {partition: lane for partition, (lane, _) in lanes._lanes.items()}


async def test_a_member_that_leaves_starts_no_lane_though_a_rebalance_ends_meanwhile() -> None:
    lanes = a_member("t")
    lanes.assign(tps(0))
    assert lanes.states() == []


async def test_a_lane_whose_partition_stays_goes_on_and_the_others_come_and_go() -> None:
    lanes = a_member("t")
    member = Member(lanes, t=12)
    lanes.assign(tps(0, 1))
    before = works(lanes)
    member.generation = 2
    lanes.assign(tps(1, 2))
    after = works(lanes)
    assert set(after) == {1, 2}
    assert after[1] is before[1]
    await lanes.let_go()


@pytest.mark.parametrize(
    ("lane", "member_id", "generation", "stays"),
    [
        (Waiting, "me", 3, True),  # its producer is fenced if another had the partition meanwhile
        (WaitingUnfenced, "me", 2, True),
        (WaitingUnfenced, "me", 3, False),
        (Waiting, "another", 2, False),
    ],
)
async def test_a_partition_that_another_may_have_had_meanwhile_is_taken_anew(
    lane: type[PartitionLane[Any]], member_id: str, generation: int, stays: bool
) -> None:
    lanes = a_member("t", lane=lane)
    member = Member(lanes, t=12)
    lanes.assign(tps(0))
    before = works(lanes)
    member.id, member.generation = member_id, generation
    lanes.assign(tps(0))
    assert (works(lanes)[0] is before[0]) is stays
    await lanes.let_go()


@pytest.mark.parametrize("counts", [{"inbound": 12, "commands": 0}, {"inbound": 0, "commands": 0}])
async def test_a_topic_that_is_not_known_at_the_moment_stops_no_lane(
    counts: dict[str, int],
) -> None:
    lanes = a_member("inbound", "commands")
    Member(lanes, **counts)
    lanes.assign(tps(0, topics=["inbound"]))
    assert lanes.unfit is None
    [lane] = works(lanes).values()
    assert lane._sources == tps(0, topics=["inbound", "commands"])  # type: ignore[attr-defined]
    await lanes.let_go()


@pytest.mark.parametrize("known", [{"inbound": 4, "commands": 0}, {"inbound": 0, "commands": 0}])
def test_who_shares_out_leaves_what_is_worked_though_topics_are_not_known(
    known: dict[str, int],
) -> None:
    def asks(generation: int, *partitions: int) -> Any:
        sticky = _Sticky()
        sticky.owned = Owned(generation, frozenset(partitions))
        return sticky.metadata(known)

    cluster = SimpleNamespace(partitions_for_topic=lambda topic: set(range(known[topic])) or None)
    members = {"one": asks(3, 0, 1), "other": asks(3, 2, 3), "stranger": asks(-1)}
    members["stranger"].user_data = b"of another library"
    shared = _Sticky().assign(cluster, members)
    numbers = {member: {tp.partition for tp in one.partitions()} for member, one in shared.items()}
    assert numbers["one"] | numbers["other"] | numbers["stranger"] == {0, 1, 2, 3}
    assert numbers["one"] <= {0, 1}
    assert numbers["other"] <= {2, 3}
    assert {tp.topic for tp in shared["one"].partitions()} == {"inbound", "commands"}


async def test_a_topic_with_another_count_stops_the_role_though_partitions_have_one_source() -> (
    None
):
    lanes = a_member("inbound", "commands")
    Member(lanes, inbound=14, commands=12)
    lanes.assign([*tps(13, topics=["inbound"]), *tps(0, topics=["inbound", "commands"])])
    assert str(lanes.unfit).startswith("inbound: 14 partitions where 12 are expected")
    assert lanes.states() == []


async def test_what_fails_while_it_is_given_up_fails_nobody() -> None:
    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError

    task = asyncio.ensure_future(fails())
    await asyncio.sleep(0)
    await given_up(task)
    assert isinstance(task.exception(), ValueError)


async def test_what_failed_a_transaction_is_told_not_what_followed() -> None:
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    ended.set_exception(ProducerFenced())

    async def send_batch(*args: object, **given: object) -> None:
        raise IllegalOperation("not in transaction")

    producer = SimpleNamespace(
        send_batch=send_batch,
        _txn_manager=SimpleNamespace(_transaction_waiter=ended),
    )
    out = LaneOutput(0)
    out.put("reply-sends", b"key", b"value")
    with pytest.raises(ProducerFenced):
        await send(producer, [out])


class Hanging(PartitionLane[Any]):
    """A lane that is never taken."""

    is_taken = False

    async def _take(self) -> None:
        self.is_taken = True
        await self._unless_stopped(asyncio.Event().wait())

    async def _work(self) -> None:
        raise AssertionError

    async def _let_go(self) -> None:
        pass

    def _next_offsets(self) -> Mapping[TopicPartition, int]:
        return {}


def hanging(number: int, takes: asyncio.Semaphore) -> Hanging:
    """One in this partition."""
    context = LaneContext(
        settings=Settings(),
        group="match",
        member=SimpleNamespace(client=None),  # type: ignore[arg-type]
        reader=None,  # type: ignore[arg-type]
        shared=None,  # type: ignore[arg-type]
        sources=[TopicPartition("inbound", number)],
        outputs=[],
        metrics=METRICS,
        at_step=lambda step: None,
        takes=takes,
        behind=lambda work: work.close(),
    )
    return Hanging(context, SimpleNamespace(waits_for=None))


@pytest.fixture
def lane() -> Hanging:
    return hanging(0, asyncio.Semaphore(1))


async def test_work_is_broken_off_when_the_lane_is_to_stop(lane: Hanging) -> None:
    async def fails_as_it_ends() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError

    works = [
        asyncio.ensure_future(lane._unless_stopped(asyncio.Event().wait())),
        asyncio.ensure_future(lane._unless_stopped(fails_as_it_ends())),
        asyncio.ensure_future(lane._unless_stopped(asyncio.Event().wait(), grace_s=0.01)),
    ]
    await asyncio.sleep(0)
    lane.stop()
    found = await asyncio.gather(*works, return_exceptions=True)
    assert [type(one) for one in found] == [Stopped] * 3
    with pytest.raises(Stopped):
        await lane._unless_stopped(asyncio.Event().wait())


async def test_work_has_its_grace_to_end_well(lane: Hanging) -> None:
    may_end = asyncio.Event()
    work = asyncio.ensure_future(lane._unless_stopped(may_end.wait(), grace_s=60))
    await asyncio.sleep(0)
    lane.stop()
    await asyncio.sleep(0.01)
    assert not work.done()
    may_end.set()
    assert await work


async def test_a_failure_of_work_is_its_own(lane: Hanging) -> None:
    async def late() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await lane._unless_stopped(late())
    assert lane._scopes == {}


async def test_a_lane_that_hangs_as_it_is_taken_keeps_no_other_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partition_lane, "_TURN_S", 0.01)
    takes = asyncio.Semaphore(1)
    lanes = [hanging(number, takes) for number in range(3)]
    runs = [asyncio.create_task(lane.run()) for lane in lanes]
    async with asyncio.timeout(30):
        while not all(lane.is_taken for lane in lanes):
            await asyncio.sleep(0.01)
    for lane in lanes:
        lane.stop()
    await asyncio.gather(*runs)
    assert not takes.locked()
    await takes.acquire()
    assert takes.locked()  # each gave its turn back once


async def test_a_member_whose_shared_producers_do_not_start_says_so_and_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[None] = []

    async def is_ready(reader: object) -> None:
        pass

    async def hangs(shared: object) -> str:
        tries.append(None)
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr(supervisor, "START_S", 0.01)
    monkeypatch.setattr(supervisor, "_REJOIN_S", (0.01, 0.01))
    monkeypatch.setattr(SourceReader, "start", is_ready)
    monkeypatch.setattr(SourceReader, "close", is_ready)
    monkeypatch.setattr(SharedTransactions, "name", hangs)
    lanes = a_member("inbound", lane=Lane)
    running = asyncio.create_task(lanes.run())
    async with asyncio.timeout(30):
        while len(tries) < 3:
            await asyncio.sleep(0.01)
    lanes.stop()
    await running
    assert not lanes.joined
    assert lanes.failed == "Kafka: TimeoutError"


@pytest.mark.parametrize(
    ("lane", "expected"),
    [
        (Lane, ["lanes end", "the member leaves", "lanes have ended"]),
        (DeliveryLane, ["lanes end", "lanes have ended", "the member leaves"]),
    ],
)
async def test_a_member_leaves_while_its_lanes_end_if_the_next_owners_wait_for_them(
    monkeypatch: pytest.MonkeyPatch, lane: type[PartitionLane[Any]], expected: list[str]
) -> None:
    seen: list[str] = []

    async def be(lanes: Lanes, member: object, reader: object) -> None:
        lanes.stop()
        await asyncio.Event().wait()

    async def let_go(lanes: Lanes) -> None:
        seen.append("lanes end")
        await asyncio.sleep(0.01)
        seen.append("lanes have ended")

    async def stop(member: object) -> None:
        seen.append("the member leaves")

    monkeypatch.setattr(Lanes, "_be", be)
    monkeypatch.setattr(Lanes, "let_go", let_go)
    monkeypatch.setattr(supervisor, "stop", stop)
    await a_member("inbound", lane=lane).run()
    assert seen == expected
