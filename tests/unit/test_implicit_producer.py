"""A producer asks a broker again where that helps, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    CoordinatorNotAvailableError,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import OffsetAndMetadata

from processor.config import Settings
from processor.kafka.lanes.implicit_producer import ImplicitProducer
from processor.kafka.lanes.lane_output import LaneOutput
from processor.kafka.transaction_protocol import (
    CommitOffsets,
    EndTransaction,
    Produce,
    Producer,
)

ONE, OTHER = TopicPartition("replies", 0), TopicPartition("changes", 0)
OFFSETS = {TopicPartition("inbound", 0): OffsetAndMetadata(5, "a note")}
NOT_LEADER, LARGE, NOT_COORDINATOR, REFUSED = 6, 10, 16, 29
DUPLICATE, OLD_EPOCH, BUSY, FENCED = 46, 47, 51, 90


class Brokers:
    """A client whose brokers answer as a test says; the last answer of a kind is repeated."""

    def __init__(self) -> None:
        self.leaders = {ONE: 1, OTHER: 1}
        self.coordinators = [7]
        self.answers: dict[type, list[Any]] = {
            Produce: [{ONE: 0, OTHER: 0}],
            CommitOffsets: [dict.fromkeys(OFFSETS, 0)],
            EndTransaction: [(0, Producer(1, 1))],
        }
        self.asked: list[tuple[int, type]] = []
        self.bodies: list[bytes] = []
        self.updates = 0
        self.updated: Callable[[], None] = lambda: None
        self.cluster = SimpleNamespace(leader_for_partition=self.leaders.get)

    async def send(self, node: int, request: Any, **where: object) -> Any:
        self.asked.append((node, type(request)))
        self.bodies.append(request.encode())
        answers = self.answers[type(request)]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, KafkaError):
            raise answer
        return answer

    async def coordinator_lookup(self, kind: int, key: str) -> int:
        found = self.coordinators
        return found.pop(0) if len(found) > 1 else found[0]

    async def force_metadata_update(self) -> bool:
        self.updates += 1
        self.updated()
        return True

    async def _wait_on_metadata(self, topic: str) -> None:
        pass


@pytest.fixture
def brokers() -> Brokers:
    return Brokers()


@pytest.fixture
async def producer(brokers: Brokers) -> ImplicitProducer:
    made = ImplicitProducer(Settings(), "one", timeout_ms=5_000, request_s=10)
    await made.client.close()
    made.client = brokers  # type: ignore[assignment]
    made._producer = Producer(1, 0)
    await made.begin([], OFFSETS, "match")
    return made


def outputs() -> list[LaneOutput]:
    out = LaneOutput(0)
    out.put(ONE.topic, b"key", b"value")
    out.put(OTHER.topic, b"key", b"value")
    return [out]


async def test_only_what_was_not_taken_is_sent_again_and_where_it_is_led_now(
    producer: ImplicitProducer, brokers: Brokers
) -> None:
    brokers.answers[Produce] = [{ONE: 0, OTHER: NOT_LEADER}, {OTHER: 0}]
    brokers.updated = lambda: brokers.leaders.update({OTHER: 2})
    await producer.emit(outputs())
    assert brokers.asked == [(1, Produce), (2, Produce)]
    assert [ONE.topic.encode() in body for body in brokers.bodies] == [True, False]
    assert brokers.updates == 1


async def test_a_batch_whose_answer_was_lost_is_not_written_twice(
    producer: ImplicitProducer, brokers: Brokers
) -> None:
    lost, repeated = KafkaConnectionError("lost"), dict.fromkeys((ONE, OTHER), DUPLICATE)
    brokers.answers[Produce] = [lost, repeated]
    await producer.emit(outputs())
    assert len(brokers.asked) == 2
    assert brokers.bodies[0] == brokers.bodies[1]  # with the same sequence numbers


async def test_a_partition_without_a_leader_is_waited_for(
    producer: ImplicitProducer, brokers: Brokers
) -> None:
    brokers.leaders[OTHER] = -1
    brokers.answers[Produce] = [{ONE: 0}, {OTHER: 0}]
    brokers.updated = lambda: brokers.leaders.update({OTHER: 3})
    await producer.emit(outputs())
    assert brokers.asked == [(1, Produce), (3, Produce)]


async def test_a_busy_broker_is_asked_again_and_no_metadata_is_needed(
    producer: ImplicitProducer, brokers: Brokers
) -> None:
    brokers.answers[Produce] = [{ONE: BUSY, OTHER: 0}, {ONE: 0}]
    brokers.answers[EndTransaction] = [(BUSY, Producer(-1, -1)), (0, Producer(1, 1))]
    await producer.emit(outputs())
    await producer.commit()
    assert [kind for _, kind in brokers.asked] == 2 * [Produce] + 2 * [EndTransaction]
    assert brokers.updates == 0


@pytest.mark.parametrize(
    "answer", [dict.fromkeys(OFFSETS, NOT_COORDINATOR), KafkaConnectionError("lost")]
)
async def test_another_coordinator_is_looked_for(
    producer: ImplicitProducer, brokers: Brokers, answer: Any
) -> None:
    brokers.answers[CommitOffsets].insert(0, answer)
    brokers.coordinators = [7, 8]
    await producer.prepare()
    assert brokers.asked == [(7, CommitOffsets), (8, CommitOffsets)]


async def test_a_coordinator_that_is_not_there_yet_is_waited_for(
    producer: ImplicitProducer, brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    async def lookup(kind: int, key: str) -> int:
        looked.append(key)
        if len(looked) == 1:
            raise CoordinatorNotAvailableError
        return 7

    monkeypatch.setattr(brokers, "coordinator_lookup", lookup)
    await producer.prepare()
    await producer.commit()
    assert looked == ["match", "match", "one"]  # the group's, and the transaction's


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        (LARGE, MessageSizeTooLargeError),
        (REFUSED, TopicAuthorizationFailedError),
        (OLD_EPOCH, ProducerFenced),
        (FENCED, ProducerFenced),
    ],
)
async def test_what_is_refused_is_not_sent_again(
    producer: ImplicitProducer, brokers: Brokers, code: int, raised: type[KafkaError]
) -> None:
    brokers.answers[Produce] = [{ONE: 0, OTHER: code}]
    with pytest.raises(raised):
        await producer.emit(outputs())
    assert len(brokers.asked) == 1


async def test_each_transaction_has_the_epoch_that_ended_the_last(
    producer: ImplicitProducer, brokers: Brokers
) -> None:
    brokers.answers[EndTransaction] = [(0, Producer(1, 1)), (0, Producer(2, 0))]
    for end in (producer.commit, producer.abort):
        await producer.prepare()
        await end()
    await producer.prepare()
    prepared = [body for body, (_, kind) in zip(brokers.bodies, brokers.asked, strict=True)]
    states = [b"\0" * 7 + b"\1" + b"\0\0", b"\0" * 7 + b"\1" + b"\0\1", b"\0" * 7 + b"\2" + b"\0\0"]
    assert [state in body for state, body in zip(states, prepared[::2], strict=True)] == 3 * [True]


async def test_a_transaction_with_nothing_in_it_needs_no_end(
    producer: ImplicitProducer, brokers: Brokers
) -> None:
    await producer.begin([], {}, "match")
    await producer.prepare()
    await producer.commit()
    await producer.abort()
    assert brokers.asked == []
