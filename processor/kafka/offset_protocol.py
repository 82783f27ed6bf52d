"""Requests about offsets; two of them in versions that aiokafka does not speak yet.

OffsetFetch 7 waits for transactions that are being completed (KIP-447). OffsetForLeaderEpoch says
where a leader epoch ends in a log. A consumer that read further under that epoch read records that
the log has lost since (KIP-320).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    KafkaError,
    LeaderNotAvailableError,
    NotLeaderForPartitionError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.offset import OffsetRequest, OffsetResetStrategy
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)

UNSTABLE = 88
"""OffsetFetch's error code where a transaction with the offset is being completed."""

_CONSUMER = -1  # the replica id of who is none
_ANY_EPOCH = -1  # of the leader that is asked
_ASK_AGAIN_S = 0.1
_NO_LEADER = (NotLeaderForPartitionError, LeaderNotAvailableError)
_Text = CompactString("utf-8")


class _OffsetFetchResponseV7(Response):  # type: ignore[misc]
    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", _Text),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", _Text),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class _OffsetFetchRequestV7(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 9
    API_VERSION = 7
    RESPONSE_TYPE = _OffsetFetchResponseV7
    SCHEMA = Schema(
        ("group", _Text),
        (
            "topics",
            CompactArray(
                ("name", _Text), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
            ),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class OffsetFetch(Request[_OffsetFetchRequestV7]):  # type: ignore[misc]
    """Ask what a group committed.

    Args:
        group: its name.
        topics: name to partitions; None: everything it committed.
        stable: whether to answer ``UNSTABLE`` while a transaction is being completed.
    """

    API_KEY = 9

    def __init__(
        self, group: str, topics: Mapping[str, Sequence[int]] | None, *, stable: bool
    ) -> None:
        self._group = group
        self._topics: list[tuple[object, ...]] | None = None
        if topics is not None:
            self._topics = [(name, list(partitions), {}) for name, partitions in topics.items()]
        self._stable = stable

    def build(self, request_struct_class: type[_OffsetFetchRequestV7]) -> _OffsetFetchRequestV7:
        """Build the one version there is."""
        return request_struct_class(self._group, self._topics, self._stable, {})


def _by_topic(*fields: tuple[str, object]) -> tuple[str, object]:
    """The field that holds fields of partitions by topic."""
    return "topics", Array(("name", String("utf-8")), ("partitions", Array(*fields)))


class _EpochEndResponse(Response):  # type: ignore[misc]
    API_KEY = 23
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        _by_topic(
            ("error_code", Int16),
            ("partition", Int32),
            ("leader_epoch", Int32),
            ("end_offset", Int64),
        ),
    )


class _EpochEndRequestV3(RequestStruct):  # type: ignore[misc]
    API_KEY = 23
    API_VERSION = 3
    RESPONSE_TYPE = _EpochEndResponse
    SCHEMA = Schema(
        ("replica_id", Int32),
        _by_topic(("partition", Int32), ("current_leader_epoch", Int32), ("leader_epoch", Int32)),
    )


class _EpochEnd(Request[_EpochEndRequestV3]):  # type: ignore[misc]
    API_KEY = 23

    def __init__(self, epochs: Mapping[TopicPartition, int]) -> None:
        asked: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for tp, epoch in epochs.items():
            asked[tp.topic].append((tp.partition, _ANY_EPOCH, epoch))
        self._topics = list(asked.items())

    def build(self, request_struct_class: type[_EpochEndRequestV3]) -> _EpochEndRequestV3:
        return request_struct_class(_CONSUMER, self._topics)


async def epoch_ends(
    client: AIOKafkaClient, epochs: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Where leader epochs end in the logs of their partitions; -1 where a log does not know one.

    Waits while a partition has no leader.

    Args:
        client: a started one of aiokafka.
        epochs: partition to the epoch asked for.

    Raises:
        aiokafka.errors.KafkaError: as the brokers answer.
    """

    def request(asked: Sequence[TopicPartition]) -> object:
        return _EpochEnd({tp: epochs[tp] for tp in asked})

    def end(code: int, partition: int, epoch: int, offset: int) -> tuple[int, int, int]:
        return partition, code, offset

    return await _of_leaders(client, epochs, request, end)


async def log_starts(
    client: AIOKafkaClient, sources: Iterable[TopicPartition]
) -> dict[TopicPartition, int]:
    """The first offsets of partitions; else as ``epoch_ends``."""
    return await _log_offsets(client, sources, OffsetResetStrategy.EARLIEST)


async def log_ends(
    client: AIOKafkaClient, sources: Iterable[TopicPartition], *, committed: bool = True
) -> dict[TopicPartition, int]:
    """The offsets behind the last record, or behind the last that is committed.

    Else as ``epoch_ends``.
    """
    return await _log_offsets(client, sources, OffsetResetStrategy.LATEST, committed=committed)


async def _log_offsets(
    client: AIOKafkaClient, sources: Iterable[TopicPartition], which: int, *, committed: bool = True
) -> dict[TopicPartition, int]:
    def request(asked: Sequence[TopicPartition]) -> object:
        topics: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for tp in asked:
            topics[tp.topic].append((tp.partition, which))
        return OffsetRequest(_CONSUMER, int(committed), list(topics.items()))

    def offset(partition: int, code: int, at_ms: int, offset: int) -> tuple[int, int, int]:
        return partition, code, offset

    return await _of_leaders(client, sources, request, offset)


async def _of_leaders(
    client: AIOKafkaClient,
    sources: Iterable[TopicPartition],
    request: Callable[[Sequence[TopicPartition]], object],
    read: Callable[..., tuple[int, int, int]],
) -> dict[TopicPartition, int]:
    """Ask the leader of each partition; ask again where the leader has changed.

    Args:
        client: a started one of aiokafka.
        sources: which partitions.
        request: makes the request to one leader, about some of them.
        read: partition, error code and what was asked for, of an answer's fields.
    """
    found: dict[TopicPartition, int] = {}
    wanted = list(sources)
    for topic in {tp.topic for tp in wanted}:
        await client.add_topic(topic)
    while left := [tp for tp in wanted if tp not in found]:
        by_leader: dict[int, list[TopicPartition]] = defaultdict(list)
        for tp in left:
            leader = client.cluster.leader_for_partition(tp)
            by_leader[-1 if leader is None else leader].append(tp)
        by_leader.pop(-1, None)
        try:
            for leader, asked in by_leader.items():
                for topic, partitions in (await client.send(leader, request(asked))).topics:
                    for fields in partitions:
                        partition, code, value = read(*fields)
                        if not code:
                            found[TopicPartition(topic, partition)] = value
                        elif (error := for_code(code)) not in _NO_LEADER:
                            raise error(topic)
        except KafkaError as error:
            if not error.retriable:
                raise
        if len(found) < len(wanted):
            await client.force_metadata_update()
            await asyncio.sleep(_ASK_AGAIN_S)
    return found
