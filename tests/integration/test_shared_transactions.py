"""Lanes of a process commit together, and none of them for another owner's partition."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import OffsetAndMetadata

from processor.config import Settings
from processor.errors import BrokerUnavailable, Fenced
from processor.kafka import copying
from processor.kafka.groups import committed_of, group_view
from processor.kafka.lanes import lane_output
from processor.kafka.lanes.implicit_producer import ImplicitProducer
from processor.kafka.lanes.lane_output import LaneOutput
from processor.kafka.lanes.relay import fence_relay
from processor.kafka.lanes.shared_transactions import Seat, SharedTransactions
from processor.kafka.lanes.transactional_producers import ExplicitProducer
from processor.kafka.lanes.transactions import Part
from processor.kafka.transaction_protocol import ApiVersions
from processor.metrics import LaneMetrics, Metrics
from tests.installation import Installation

pytestmark = pytest.mark.usefixtures("batches", "producers")


@dataclass
class Made:
    """Transactions, and what was committed in them."""

    at: Installation
    group: str
    shared: SharedTransactions
    metrics: Metrics

    def part(
        self, partition: int, text: bytes, still_holds: Callable[[], Awaitable[bool]] | None = None
    ) -> Part:
        """Moves the offset of a partition to 5, and writes one reply there."""
        out = LaneOutput(partition)
        out.put(self.at.topics.reply_sends, b"key", text)
        source = TopicPartition(self.at.topics.inbound_messages, partition)
        offsets = {source: OffsetAndMetadata(5, "")}
        return Part(offsets, out, still_holds) if still_holds else Part(offsets, out)

    async def seats(self, *partitions: int) -> list[Seat]:
        name = await self.shared.name()
        turns = [(partition, await self.shared.take(partition)) for partition in partitions]
        return [self.shared.seat(partition, turn, name) for partition, turn in turns]

    async def replies(self) -> list[bytes]:
        """The values that a read_committed reader sees."""
        return sorted(
            record.value or b"" for record in await self.at.records(self.at.topics.reply_sends)
        )

    async def moved(self) -> set[int]:
        """The partitions whose offset was committed."""
        async with group_view(self.at.settings, self.group) as view:
            return {tp.partition for tp in await committed_of(view, stable=True)}

    def commits(self) -> float | None:
        """How many transactions were committed."""
        labels = {"role": "match", "step": "commit"}
        return self.metrics.registry.get_sample_value("optout_step_seconds_count", labels)


class Slow:
    """A last look that ends when a test says so."""

    def __init__(self) -> None:
        self.is_looking, self.may_end = asyncio.Event(), asyncio.Event()

    async def look(self) -> bool:
        self.is_looking.set()
        await self.may_end.wait()
        return True


@pytest.fixture(params=["compiled", "pure"])
def batches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written by compiled code, and by aiokafka."""
    if request.param == "pure":
        monkeypatch.setattr(copying, "native", None)


@pytest.fixture(params=[ImplicitProducer, ExplicitProducer])
def producers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type:
    """As brokers since Kafka 4.0 allow, and as those before need it."""
    if request.param is ExplicitProducer:
        monkeypatch.setattr(ApiVersions, "decode", lambda self, data: False)
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
async def made(settings: Settings) -> AsyncIterator[Made]:
    group = f"{settings.topic_prefix}some"

    work: set[asyncio.Task[None]] = set()

    def behind(started: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(started)
        work.add(task)
        task.add_done_callback(work.discard)

    metrics = Metrics()
    shared = SharedTransactions(settings, group, LaneMetrics(metrics, "match"), behind)
    yield Made(Installation(settings), group, shared, metrics)
    await shared.close()
    if work:
        await asyncio.wait(work)


async def test_parts_that_are_ready_together_are_committed_together(
    made: Made, producers: type
) -> None:
    seats = await made.seats(0, 1, 2)
    commits = [
        made.shared.commit(seat, made.part(seat.partition, b"%d" % seat.partition))
        for seat in seats
    ]
    assert await asyncio.gather(*commits) == [True] * 3
    assert await made.replies() == [b"0", b"1", b"2"]
    assert await made.moved() == {0, 1, 2}
    assert made.commits() == 1
    relay = made.shared._relay
    assert relay is not None
    assert {type(producer) for producer in relay._producers} == {producers}


async def test_batches_of_one_partition_follow_each_other_in_a_transaction(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_output, "MOST_BYTES", 1)  # then each record is a batch
    texts = [b"%d" % number for number in range(5)]
    [seat] = await made.seats(0)
    for _ in range(3):  # both producers, and one of them again
        part = made.part(0, texts[0])
        assert part.out is not None
        for text in texts[1:]:
            part.out.put(made.at.topics.reply_sends, b"key", text)
        assert await made.shared.commit(seat, part)
    written = await made.at.records(made.at.topics.reply_sends)
    assert [record.value for record in written] == 3 * texts


async def test_a_part_that_no_longer_holds_keeps_no_other_from_its_commit(made: Made) -> None:
    async def holds_not() -> bool:
        return False

    async def fails() -> bool:
        raise BrokerUnavailable("the list was not reached")

    first, second, third = await made.seats(0, 1, 2)
    found = await asyncio.gather(
        made.shared.commit(first, made.part(0, b"0", holds_not)),
        made.shared.commit(second, made.part(1, b"1")),
        made.shared.commit(third, made.part(2, b"2", fails)),
        return_exceptions=True,
    )
    holds_no_more, is_committed, failed = found
    assert (holds_no_more, is_committed) == (False, True)
    assert isinstance(failed, BrokerUnavailable)
    assert await made.replies() == [b"1"]
    assert await made.moved() == {1}
    assert await made.shared.commit(first, made.part(0, b"again"))
    assert await made.replies() == [b"1", b"again"]


async def test_a_producer_that_another_owner_fenced_commits_nothing_more(made: Made) -> None:
    [seat, other] = await made.seats(0, 1)
    assert await made.shared.commit(seat, made.part(0, b"before"))
    await fence_relay(made.at.settings, seat.name)
    with pytest.raises(Fenced):
        await made.shared.commit(seat, made.part(0, b"after"))
    with pytest.raises(Fenced):
        other.check()
    assert await made.shared.name() != seat.name
    assert made.shared.had({seat.name})
    with pytest.raises(BrokerUnavailable):
        made.shared.seat(1, await made.shared.take(1), seat.name).check()
    [seat] = await made.seats(0)
    assert await made.shared.commit(seat, made.part(0, b"later"))
    assert await made.replies() == [b"before", b"later"]


async def test_an_open_transaction_is_settled_when_its_producer_is_fenced(made: Made) -> None:
    async def fenced_meanwhile() -> bool:
        await fence_relay(made.at.settings, seat.name)
        return True

    [seat] = await made.seats(0)
    with pytest.raises(Fenced):
        await made.shared.commit(seat, made.part(0, b"sent", fenced_meanwhile))
    assert await made.replies() == []
    assert await made.moved() == set()  # the answer waits for transactions that are open


async def test_a_lane_whose_partition_was_taken_in_the_same_process_commits_nothing_more(
    made: Made,
) -> None:
    slow = Slow()
    seat, other = await made.seats(0, 1)
    in_hand = asyncio.create_task(made.shared.commit(seat, made.part(0, b"in hand", slow.look)))
    await slow.is_looking.wait()
    waits = asyncio.create_task(made.shared.commit(seat, made.part(0, b"waits")))
    others = asyncio.create_task(made.shared.commit(other, made.part(1, b"other")))
    await asyncio.sleep(0)
    taking = asyncio.create_task(made.shared.take(0))
    with pytest.raises(Fenced):
        await waits
    assert not taking.done()  # the first part may still be committed
    slow.may_end.set()
    await taking
    assert in_hand.done()
    assert await others
    with pytest.raises(Fenced):
        await made.shared.commit(seat, made.part(0, b"too late"))
    with pytest.raises(Fenced):
        made.shared.seat(0, 1, seat.name).check()
    assert await made.replies() == [b"in hand", b"other"]


async def test_a_part_that_goes_before_its_transaction_begins_disturbs_no_other(made: Made) -> None:
    seat, other = await made.seats(0, 1)
    assert await made.shared.commit(seat, made.part(0, b"first"))
    made.shared._relay._may_begin_at = time.monotonic() + 0.3  # type: ignore[union-attr]
    goes = asyncio.create_task(made.shared.commit(seat, made.part(0, b"goes")))
    await asyncio.sleep(0)
    goes.cancel()
    await asyncio.wait([goes])
    await asyncio.sleep(0.5)  # the transaction would have begun
    other.check()
    assert await made.shared.commit(other, made.part(1, b"other"))
    assert await made.replies() == [b"first", b"other"]


async def test_what_a_cancelled_lane_still_waited_with_is_not_committed(made: Made) -> None:
    slow = Slow()
    seat, other = await made.seats(0, 1)
    first = asyncio.create_task(made.shared.commit(seat, made.part(0, b"first", slow.look)))
    await slow.is_looking.wait()
    waits = asyncio.create_task(made.shared.commit(other, made.part(1, b"waits")))
    await asyncio.sleep(0)
    waits.cancel()
    await asyncio.wait([waits])
    slow.may_end.set()
    assert await first
    assert await made.shared.commit(other, made.part(1, b"next"))
    assert await made.replies() == [b"first", b"next"]


class Lossy:
    """A client that loses the first answer to each kind of request."""

    def __init__(self, client: Any) -> None:
        self.lost: set[str] = set()
        self._really = client.send
        client.send = self

    async def __call__(self, node: int, request: Any, **where: Any) -> Any:
        answer = await self._really(node, request, **where)
        if (kind := type(request).__name__) not in self.lost:
            self.lost.add(kind)
            raise KafkaConnectionError("the answer was lost")
        return answer


@pytest.mark.parametrize("producers", [ImplicitProducer], indirect=True)
async def test_a_request_whose_answer_is_lost_has_its_effect_once(made: Made) -> None:
    [seat] = await made.seats(0)
    relay = made.shared._relay
    assert relay is not None
    for _ in relay._producers:  # they know their coordinators, and the topics
        assert await made.shared.commit(seat, made.part(0, b"before"))
    lossy = [Lossy(producer.inner.client) for producer in relay._producers]
    for number in range(4):
        assert await made.shared.commit(seat, made.part(0, b"%d" % number))
    seat.check()
    assert await made.replies() == [b"0", b"1", b"2", b"3", b"before", b"before"]
    assert await made.moved() == {0}
    assert [one.lost for one in lossy] == 2 * [
        {"Produce", "CommitOffsets", "EndTransaction", "FindCoordinatorRequest"}
    ]
