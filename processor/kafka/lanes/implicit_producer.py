"""A producer of transactions with fewer requests, for brokers since Kafka 4.0 (KIP-890).

Such brokers add to a transaction what is written in it. A producer need not ask before, and three
round trips do: outputs, offsets, end. As the end raises the producer's epoch, a request that comes
late cannot come into the next transaction.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import (
    BrokerResponseError,
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    DuplicateSequenceNumber,
    IncompatibleBrokerVersion,
    InvalidProducerEpoch,
    KafkaError,
    NoError,
    ProducerFenced,
    for_code,
)
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.structs import OffsetAndMetadata

from processor.config import Settings
from processor.kafka.connections import Client
from processor.kafka.lanes.lane_output import LaneOutput
from processor.kafka.ports import TransactionalBatch
from processor.kafka.transaction_protocol import (
    ApiVersions,
    CommitOffsets,
    EndTransaction,
    Produce,
    Producer,
)

Offsets = Mapping[TopicPartition, OffsetAndMetadata]
_Whole = dict[TopicPartition, bytearray]  # one batch for each
_ASK_AGAIN_S = 0.005
_PRODUCER_FENCED = 90  # aiokafka has no name for the code
_WRITTEN = (NoError, DuplicateSequenceNumber)  # the latter: by a request whose answer was lost
_BUSY = (ConcurrentTransactions, CoordinatorLoadInProgressError)


class ImplicitProducer:
    """Writes one transaction after another; a ``TransactionalProducer``.

    Args:
        settings: of the client.
        transactional_id: a start fences every producer that has it.
        timeout_ms: after which brokers abort a transaction.
        request_s: for a broker to answer a request.
    """

    def __init__(
        self, settings: Settings, transactional_id: str, *, timeout_ms: int, request_s: float
    ) -> None:
        self.client = Client(**settings.kafka(request_s=request_s))
        self._id = transactional_id
        self._timeout_ms = timeout_ms
        self._request_ms = round(1000 * request_s)
        self._producer = Producer(-1, -1)
        self._coordinators: dict[int, int] = {}  # kind to broker
        self._group = ""
        self._offsets: Offsets = {}
        self._is_empty = True  # whether brokers know of no transaction

    @property
    def inner(self) -> ImplicitProducer:
        """The client to start and stop; see ``starting``."""
        return self

    async def start(self) -> None:
        """Fence every producer with this id, and settle what it left open.

        Raises:
            IncompatibleBrokerVersion: the brokers want to be asked first.
            aiokafka.errors.KafkaError: no broker answers.
        """
        await self.client.bootstrap()
        if not await self.client.send(self.client.get_random_node(), ApiVersions()):
            raise IncompatibleBrokerVersion("transaction.version 2")
        request = InitProducerIdRequest(self._id, self._timeout_ms)
        answer = await self._ask(
            CoordinationType.TRANSACTION, request, lambda answer: {answer.error_code}
        )
        self._producer = Producer(answer.producer_id, answer.producer_epoch)

    async def stop(self) -> None:
        """Close the connections; brokers abort what is open when it times out."""
        await self.client.close()

    async def begin(self, outputs: Sequence[LaneOutput], offsets: Offsets, group: str) -> None:
        """Note the offsets; no broker need know of the transaction yet."""
        self._group, self._offsets = group, offsets

    async def emit(self, outputs: Sequence[LaneOutput]) -> None:
        """Write all outputs.

        Raises:
            aiokafka.errors.KafkaError: a partition does not take them.
        """
        left: dict[TopicPartition, deque[TransactionalBatch]] = defaultdict(deque)
        for out in outputs:
            for tp, batch in out.batches():
                left[tp].append(batch)
        sequences = dict.fromkeys(left, 0)  # they begin again with each epoch
        while left:
            whole: _Whole = {}
            for tp, batches in list(left.items()):  # a request has one batch of a partition
                batch = batches.popleft()
                batch.close()
                batch._set_producer_state(*self._producer, sequences[tp])
                whole[tp] = batch._build()
                sequences[tp] += batch.record_count()
                if not batches:
                    del left[tp]
            await self._write(whole)

    async def _write(self, batches: _Whole) -> None:
        """Write one batch to each of these partitions."""
        self._is_empty = False
        while True:
            by_leader = await self._by_leader(batches)
            asked = [self._produce(node, mine) for node, mine in by_leader.items()]
            errors = {tp: error for of in await asyncio.gather(*asked) for tp, error in of.items()}
            for tp, error in errors.items():
                if isinstance(error, _WRITTEN):
                    del batches[tp]
                else:
                    _raise_unless_passing(error)
            if not batches:
                return
            if not all(isinstance(errors.get(tp), _BUSY) for tp in batches):
                await self.client.force_metadata_update()
            await asyncio.sleep(_ASK_AGAIN_S)

    async def _by_leader(self, batches: _Whole) -> dict[int, _Whole]:
        """The batches by the brokers that take them; those without a leader are left out."""
        found: dict[int, _Whole] = defaultdict(dict)
        for tp, batch in batches.items():
            await self.client._wait_on_metadata(tp.topic)
            leader = self.client.cluster.leader_for_partition(tp)
            if leader is not None and leader >= 0:
                found[leader][tp] = batch
        return found

    async def _produce(self, node: int, batches: _Whole) -> dict[TopicPartition, KafkaError]:
        """A broker's answers; a failure to ask it counts as its answer for every partition."""
        try:
            codes = await self.client.send(node, Produce(self._id, self._request_ms, batches))
        except KafkaError as error:
            return dict.fromkeys(batches, error)
        return {tp: _error(code) for tp, code in codes.items()}

    async def prepare(self) -> None:
        """Commit the offsets, as a part of the transaction.

        Raises:
            aiokafka.errors.KafkaError: the group's coordinator does not take them.
        """
        if self._offsets:
            self._is_empty = False
            request = CommitOffsets(self._id, self._producer, self._group, self._offsets)
            await self._ask(CoordinationType.GROUP, request, lambda codes: set(codes.values()))

    async def commit(self) -> None:
        """Make outputs and offsets visible, together.

        Raises:
            aiokafka.errors.KafkaError: the outcome is not known.
        """
        await self._end(is_commit=True)

    async def abort(self) -> None:
        """Take everything back.

        Raises:
            aiokafka.errors.KafkaError: it may still be open.
        """
        await self._end(is_commit=False)

    async def _end(self, *, is_commit: bool) -> None:
        if self._is_empty:
            return
        request = EndTransaction(self._id, self._producer, is_commit=is_commit)
        _, self._producer = await self._ask(
            CoordinationType.TRANSACTION, request, lambda answer: {answer[0]}
        )
        self._is_empty = True

    async def _ask(self, kind: int, request: object, codes: Callable[[Any], set[int]]) -> Any:
        """Ask a coordinator, until it takes the request or refuses it."""
        while True:
            try:
                node = await self._coordinator(kind)
                answer = await self.client.send(node, request, group=ConnectionGroup.COORDINATION)
                errors: list[KafkaError] = [_error(code) for code in codes(answer) if code]
            except KafkaError as error:
                errors = [error]
            if not errors:
                return answer
            for one in errors:
                _raise_unless_passing(one)
            if not all(isinstance(one, _BUSY) for one in errors):
                self._coordinators.pop(kind, None)
                await self.client.force_metadata_update()
            await asyncio.sleep(_ASK_AGAIN_S)

    async def _coordinator(self, kind: int) -> int:
        if kind not in self._coordinators:
            key = self._id if kind == CoordinationType.TRANSACTION else self._group
            self._coordinators[kind] = await self.client.coordinator_lookup(kind, key)
        return self._coordinators[kind]


def _error(code: int) -> BrokerResponseError:
    error = for_code(code)()
    if code == _PRODUCER_FENCED or isinstance(error, InvalidProducerEpoch):
        return ProducerFenced()
    return error


def _raise_unless_passing(error: KafkaError) -> None:
    if not (error.retriable or isinstance(error, _BUSY)):
        raise error
