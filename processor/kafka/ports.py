"""Types for the methods of aiokafka's clients that are used; aiokafka has no types."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.structs import OffsetAndMetadata, OffsetAndTimestamp

from processor.wire.records import Header, Record


class InGroup(Protocol):
    """Knows the coordinator of its group."""

    _coordinator: Any


class Consumer(InGroup, Protocol):
    """Reads records of the partitions it was assigned."""

    _client: AIOKafkaClient
    _fetcher: Any
    _subscription: Any

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        """Read these partitions, in no group."""
        ...

    def assignment(self) -> Collection[TopicPartition]:
        """The partitions that are read."""
        ...

    async def getmany(
        self,
        *partitions: TopicPartition,
        timeout_ms: int = 0,
        max_records: int | None = None,
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        """The next records; an ``UnreadBatch`` may be among them, see ``fetched.readable``."""
        ...

    async def position(self, partition: TopicPartition) -> int:
        """The offset of the next record."""
        ...

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on at an offset."""
        ...

    async def seek_to_beginning(self, *partitions: TopicPartition) -> bool:
        """Go on at the first offset there is."""
        ...

    async def seek_to_end(self, *partitions: TopicPartition) -> bool:
        """Go on behind the last offset there is."""
        ...

    def pause(self, *partitions: TopicPartition) -> None:
        """Fetch nothing of these partitions."""
        ...

    def highwater(self, partition: TopicPartition) -> int | None:
        """The end of a partition, as the last fetch saw it."""
        ...

    async def beginning_offsets(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """The first offsets there are."""
        ...

    async def end_offsets(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """The offsets behind the last there are."""
        ...

    async def offsets_for_times(
        self, timestamps: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp]:
        """The first offsets written at or after a time in ms; None: there is none."""
        ...

    async def commit(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata] | None = None
    ) -> None:
        """Commit offsets of the consumer's group; None: of all that it was handed."""
        ...

    async def committed(self, partition: TopicPartition) -> int | None:
        """The group's committed offset; ``groups.committed_of`` is more reliable."""
        ...


class RecordBatch(Protocol):
    """Records of one partition that are written at once."""

    def append(
        self,
        *,
        timestamp: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: list[Header] = ...,
    ) -> object | None:
        """Add a record; None: it is full."""
        ...

    def close(self) -> None:
        """Take no more records."""
        ...


class TransactionalBatch(RecordBatch, Protocol):
    """One that a producer writes in its transaction."""

    def record_count(self) -> int:
        """How many records it has."""
        ...

    def _set_producer_state(
        self, producer_id: int, producer_epoch: int, base_sequence: int
    ) -> None:
        """Say who writes it, and the number of its first record."""
        ...

    def _build(self) -> bytearray:
        """The batch as it is sent."""
        ...
