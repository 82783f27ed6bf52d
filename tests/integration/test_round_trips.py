"""A lane waits for brokers as rarely as the protocol allows."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import OffsetAndMetadata

from processor.config import Settings
from processor.core.partitions import partition_of
from processor.kafka.groups import committed_of, group_view
from processor.kafka.lanes.lane_output import LaneOutput
from processor.kafka.lanes.source_reader import SourceReader
from processor.kafka.lanes.transactional_producers import start_producer
from processor.kafka.lanes.transactions import Part, transact
from processor.kafka.starting import stop
from processor.kafka.transaction_protocol import ApiVersions
from processor.kafka.writing import Outgoing
from processor.metrics import LaneMetrics, Metrics
from tests.installation import Installation, until

BEGINS = {"AddPartitionsToTxnRequest", "AddOffsetsToTxnRequest"}
OFFSETS, OUTPUTS = {"TxnOffsetCommitRequest"}, {"ProduceRequest"}
ENDS = {"EndTxnRequest"}


class Rounds:
    """The requests of a client that were in flight together, whenever it had none."""

    def __init__(self, client: Any) -> None:
        self.all: list[set[str]] = []
        self.is_repeated = False  # the broker wanted a request again
        self._in_flight = 0
        self._really = getattr(client.send, "_really", client.send)
        client.send = self

    async def __call__(self, node: Any, request: Any, **where: Any) -> Any:
        if not self._in_flight:
            self.all.append(set())
        name = type(request).__name__
        self.is_repeated |= any(name in sent for sent in self.all)
        self.all[-1].add(name)
        self._in_flight += 1
        try:
            return await self._really(node, request, **where)
        finally:
            self._in_flight -= 1


@pytest.mark.parametrize(
    ("is_implicit", "expected"),
    [
        (True, [{"Produce"}, {"CommitOffsets"}, {"EndTransaction"}]),
        (False, [BEGINS, OFFSETS, OUTPUTS, ENDS]),
    ],
    ids=["implicit", "explicit"],
)
async def test_a_transaction_takes_few_round_trips(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    is_implicit: bool,
    expected: list[set[str]],
) -> None:
    if not is_implicit:
        monkeypatch.setattr(ApiVersions, "decode", lambda self, data: False)
    at = Installation(settings)
    topics, group = at.topics, f"{settings.topic_prefix}some"
    source, offset = TopicPartition(topics.inbound_messages, 0), OffsetAndMetadata(5, "a note")
    producer = await start_producer(settings, f"{group}-0", request_s=10)
    metrics = LaneMetrics(Metrics(), "match")
    try:
        for transactions in itertools.count(1):
            out = LaneOutput(0)
            for topic in (topics.reply_sends, topics.block_changes):
                out.put(topic, b"one", b"1")
            rounds = Rounds(producer.inner.client)
            await transact(producer, group, [Part({source: offset}, out)], metrics)
            # The first transaction has to find the coordinators, and a broker that is still busy
            # with the last one wants to be asked again.
            if transactions > 1 and not rounds.is_repeated:
                break
    finally:
        await stop(producer.inner)
    assert rounds.all == expected
    async with group_view(settings, group) as view:
        assert await committed_of(view, [source], stable=True) == {source: offset}
    for topic in (topics.reply_sends, topics.block_changes):
        assert len(await at.records(topic)) == transactions


class Fetches:
    """The partitions of each fetch, with how long the broker may wait for records, in ms."""

    def __init__(self, client: Any) -> None:
        self.all: list[tuple[set[int], int]] = []
        self._really = client.send
        client.send = self

    async def __call__(self, node: Any, request: Any, **where: Any) -> Any:
        if isinstance(request, FetchRequest):
            asked = {partition for _, parts in request.topics for partition, *_ in parts}
            self.all.append((asked, request._max_wait_ms))
        return await self._really(node, request, **where)


async def test_a_partition_that_is_not_read_holds_up_no_other(settings: Settings) -> None:
    at = Installation(settings)
    topic = at.topics.inbound_messages
    keys = {partition_of(key, settings.partitions): key for key in map(str.encode, "abcdefgh")}
    busy, idle = (TopicPartition(topic, partition) for partition in sorted(keys)[:2])
    source = SourceReader(settings, [topic], fetch_wait_ms=500)
    await source.start()
    try:
        fetches = Fetches(source.client)
        others = [source.read({busy: 0}), source.read({idle: 0})][1]

        async def is_fetched() -> bool:
            return busy in source._consumer._fetcher._records

        await at.write_raw(Outgoing(topic, keys[busy.partition], b"not read"))
        await until(is_fetched, "a record of the busy partition")
        await at.write_raw(Outgoing(topic, keys[idle.partition], b"read"))
        found = await others.records([idle], wait_s=30, most=10)
        assert [record.value for record in found[idle]] == [b"read"]
    finally:
        await source.close()
    both, one = {busy.partition, idle.partition}, {idle.partition}
    assert (one, 10) in fetches.all
    assert {wait_ms for asked, wait_ms in fetches.all if asked == both} == {500}
