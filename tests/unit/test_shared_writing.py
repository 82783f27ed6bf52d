"""Many callers share batches; each waits for its own records, and no longer than it may."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from aiokafka.errors import NotLeaderForPartitionError, UnknownTopicOrPartitionError

from processor.core.partitions import partition_of
from processor.errors import BrokerUnavailable
from processor.kafka.ports import RecordBatch
from processor.kafka.shared_writing import SharedWriter
from processor.kafka.writing import Outgoing
from processor.wire.records import Header

_PARTITIONS = 4
_KEYS = {partition_of(str(n).encode(), _PARTITIONS): str(n).encode() for n in range(40)}


class _Batch:
    def __init__(self) -> None:
        self.values: list[bytes | None] = []
        self.closed = False

    def append(
        self,
        *,
        timestamp: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[Header] = (),
    ) -> object | None:
        if len(self.values) == 3:
            return None
        self.values.append(value)
        return self

    def close(self) -> None:
        self.closed = True


@dataclass
class _Producer:
    sent: list[tuple[str, int, list[bytes | None]]] = field(default_factory=list)
    fates: list[asyncio.Future[object]] = field(default_factory=list)
    unknown: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()

    def create_batch(self) -> _Batch:
        return _Batch()

    async def send_batch(
        self, batch: RecordBatch, topic: str, *, partition: int
    ) -> asyncio.Future[object]:
        assert isinstance(batch, _Batch)
        assert batch.closed
        if topic in self.unknown:
            raise UnknownTopicOrPartitionError(topic)
        if topic in self.silent:
            await asyncio.Event().wait()
        self.sent.append((topic, partition, batch.values))
        self.fates.append(asyncio.get_running_loop().create_future())
        return self.fates[-1]


def _writer(producer: _Producer, patience_s: float = 30) -> SharedWriter:
    return SharedWriter(producer, _PARTITIONS, patience_s=patience_s, linger_s=0.001)


def _record(partition: int, value: bytes, topic: str = "t") -> Outgoing:
    return Outgoing(topic, _KEYS[partition], value)


async def _until(number: int, producer: _Producer) -> None:
    async with asyncio.timeout(10):
        while len(producer.sent) < number:
            await asyncio.sleep(0.001)


async def test_records_of_many_callers_go_in_one_batch_a_partition() -> None:
    producer = _Producer()
    writer = _writer(producer)
    calls = [
        asyncio.create_task(writer.send_all([_record(1, b"a"), _record(2, b"b")])),
        asyncio.create_task(writer.send_all([_record(1, b"c")])),
    ]
    await _until(2, producer)
    assert producer.sent == [("t", 1, [b"a", b"c"]), ("t", 2, [b"b"])]
    producer.fates[0].set_result(None)
    await calls[1]
    assert not calls[0].done()
    producer.fates[1].set_result(None)
    await calls[0]


async def test_a_failed_batch_fails_only_those_who_have_records_in_it() -> None:
    producer = _Producer()
    writer = _writer(producer)
    calls = [
        asyncio.create_task(writer.send_all([_record(one, b"x") for one in places]))
        for places in ((1, 2), (2,), (3,))
    ]
    await _until(3, producer)
    producer.fates[1].set_exception(NotLeaderForPartitionError())
    for fate in (producer.fates[0], producer.fates[2]):
        fate.set_result(None)
    for call in calls[:2]:
        with pytest.raises(BrokerUnavailable, match="NotLeaderForPartition"):
            await call
    await calls[2]


async def test_a_partition_has_one_batch_on_its_way_and_keeps_its_order() -> None:
    producer = _Producer()
    writer = _writer(producer)
    calls = [asyncio.create_task(writer.send_all([_record(1, b"0")]))]
    await _until(1, producer)
    calls += [asyncio.create_task(writer.send_all([_record(1, b"%d" % n)])) for n in range(1, 5)]
    other = asyncio.create_task(writer.send_all([_record(2, b"o")]))
    await _until(2, producer)
    assert producer.sent[1] == ("t", 2, [b"o"])
    for index, more in ((0, 3), (2, 4), (1, 4)):
        producer.fates[index].set_result(None)
        await _until(more, producer)
    producer.fates[3].set_result(None)
    await asyncio.gather(*calls, other)
    assert [values for _, place, values in producer.sent if place == 1] == [
        [b"0"],
        [b"1", b"2", b"3"],
        [b"4"],
    ]


async def test_who_has_waited_too_long_gets_an_error_and_its_records_are_forgotten() -> None:
    producer = _Producer()
    writer = _writer(producer, patience_s=1)
    first = asyncio.create_task(writer.send_all([_record(1, b"0")]))
    await _until(1, producer)
    second = asyncio.create_task(writer.send_all([_record(1, b"1")]))
    for call in (first, second):
        with pytest.raises(BrokerUnavailable, match="too long"):
            await call
    third = asyncio.create_task(writer.send_all([_record(1, b"2")]))
    await asyncio.sleep(0)
    producer.fates[0].set_result(None)
    await _until(2, producer)
    producer.fates[1].set_result(None)
    await third
    assert [values for *_, values in producer.sent] == [[b"0"], [b"2"]]


async def test_a_topic_that_the_brokers_do_not_name_holds_no_other_back() -> None:
    producer = _Producer(unknown=frozenset({"none"}), silent=frozenset({"silent"}))
    writer = _writer(producer)
    unknown, silent, good = (
        asyncio.create_task(writer.send_all([_record(1, b"x", topic)]))
        for topic in ("none", "silent", "t")
    )
    with pytest.raises(BrokerUnavailable, match="has no none"):
        await unknown
    await _until(1, producer)
    producer.fates[0].set_result(None)
    await good
    writer.close()
    with pytest.raises(BrokerUnavailable, match="ends"):
        await silent


async def test_without_records_there_is_nothing_to_wait_for() -> None:
    await _writer(_Producer()).send_all([])
