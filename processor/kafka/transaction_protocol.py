"""Requests of transactions of version 2, which aiokafka does not speak yet (KIP-890).

A broker adds a partition, or a group, to a transaction when it is written to. It answers the end of
a transaction with the producer's next epoch, so nothing of one transaction can come into the next.

Each is one version of one request, and has what aiokafka's connections use of theirs. They are
written and read here field by field: a worker sends hundreds a second, with dozens of partitions.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping
from io import BytesIO
from typing import ClassVar, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import RequestHeader_v2, ResponseHeader_v0, ResponseHeader_v1
from aiokafka.structs import OffsetAndMetadata

Codes = dict[TopicPartition, int]
"""A broker's error code for each partition of a request; 0: none."""

_ALL_IN_SYNC = -1
_NO_TAGS = b"\0"
_NO_MEMBER = b"\xff\xff\xff\xff" + b"\1" + b"\0"  # generation, member's id, group instance's id
_ANY_EPOCH = -1  # of the leader under which records were read
_FEATURE = "transaction.version"
_WITH_BUMPS = 2  # the feature's level


class _Request(ABC):
    API_KEY: ClassVar[int]
    API_VERSION: ClassVar[int]

    def __init__(self, body: bytes) -> None:
        self._body = body

    @property
    def RESPONSE_TYPE(self) -> _Request:
        """The decoder of the answer, as connections look it up."""
        return self

    def prepare(self, versions: Mapping[int, tuple[int, int]]) -> _Request:
        """Check that the broker speaks this version.

        Args:
            versions: key of a request to the least and the greatest version.

        Raises:
            IncompatibleBrokerVersion: it does not.
        """
        least, most = versions.get(self.API_KEY, (0, -1))
        if not least <= self.API_VERSION <= most:
            raise IncompatibleBrokerVersion(f"{type(self).__name__} {self.API_VERSION}")
        return self

    def build_request_header(self, correlation_id: int, client_id: str) -> RequestHeader_v2:
        """The header of version 2."""
        return RequestHeader_v2(self, correlation_id=correlation_id, client_id=client_id)

    def encode(self) -> bytes:
        """The body."""
        return self._body

    def parse_response_header(self, data: BytesIO) -> object:
        """Read the answer's header."""
        return ResponseHeader_v1.decode(data)

    @abstractmethod
    def decode(self, data: BytesIO) -> object:
        """Read the answer's body."""


class ApiVersions(_Request):
    """Asks for the level of transactions that all brokers of the cluster have agreed on."""

    API_KEY, API_VERSION = 18, 3

    def __init__(self) -> None:
        super().__init__(_text("optout") + _text("0") + _NO_TAGS)

    def parse_response_header(self, data: BytesIO) -> object:
        """Read the header, which has no tags here: a client may not know them yet."""
        return ResponseHeader_v0.decode(data)

    def decode(self, data: BytesIO) -> bool:
        """Whether a transaction's end raises the producer's epoch."""
        read = _Reader(data.read())
        read.numbers(_CODE)
        for _ in range(read.length()):
            read.numbers(_RANGE)
            read.tags()
        read.numbers(_THROTTLE)
        return _finalized(read.tags().get(2, b"\1")).get(_FEATURE, 0) >= _WITH_BUMPS


def _finalized(tag: bytes) -> dict[str, int]:
    read, found = _Reader(tag), {}
    for _ in range(read.length()):
        name = read.text()
        [found[name], _least] = read.numbers(_LEVELS)
        read.tags()
    return found


class Produce(_Request):
    """Writes a batch to each of some partitions, and adds them to the transaction.

    Args:
        transactional_id: of the producer.
        timeout_ms: for replicas to have them.
        batches: whole, with the producer's state.
    """

    API_KEY, API_VERSION = 0, 12

    def __init__(
        self, transactional_id: str, timeout_ms: int, batches: Mapping[TopicPartition, bytearray]
    ) -> None:
        by_topic: dict[str, list[bytes]] = defaultdict(list)
        for tp, batch in batches.items():
            whole = tp.partition.to_bytes(4, "big"), _length(len(batch)), batch, _NO_TAGS
            by_topic[tp.topic].append(b"".join(whole))
        head = _text(transactional_id) + struct.pack(">hi", _ALL_IN_SYNC, timeout_ms)
        super().__init__(head + _topics(by_topic) + _NO_TAGS)

    def decode(self, data: BytesIO) -> Codes:
        """The error codes of the partitions."""
        read, found = _Reader(data.read()), {}
        for _ in range(read.length()):
            topic = read.text()
            for _ in range(read.length()):
                partition, code, *_offsets = read.numbers(_WRITTEN)
                for _ in range(read.length()):
                    read.numbers(_INDEX)
                    read.text()
                    read.tags()
                read.text()
                read.tags()
                found[TopicPartition(topic, partition)] = code
            read.tags()
        return found


class CommitOffsets(_Request):
    """Commits offsets with their notes, and adds the group to the transaction.

    Args:
        transactional_id: of the producer.
        producer: its id and epoch.
        group: the consumer group.
        offsets: the offsets of the next records.
    """

    API_KEY, API_VERSION = 28, 5

    def __init__(
        self,
        transactional_id: str,
        producer: Producer,
        group: str,
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
    ) -> None:
        by_topic: dict[str, list[bytes]] = defaultdict(list)
        for tp, one in offsets.items():
            place = _COMMITTED.pack(tp.partition, one.offset, _ANY_EPOCH)
            by_topic[tp.topic].append(place + _text(one.metadata) + _NO_TAGS)
        head = _text(transactional_id) + _text(group) + _PRODUCER.pack(*producer) + _NO_MEMBER
        super().__init__(head + _topics(by_topic) + _NO_TAGS)

    def decode(self, data: BytesIO) -> Codes:
        """The error codes of the partitions."""
        read, found = _Reader(data.read()), {}
        read.numbers(_THROTTLE)
        for _ in range(read.length()):
            topic = read.text()
            for _ in range(read.length()):
                partition, code = read.numbers(_TAKEN)
                read.tags()
                found[TopicPartition(topic, partition)] = code
            read.tags()
        return found


class Producer(NamedTuple):
    """A producer as a coordinator of transactions knows it."""

    id: int
    epoch: int


class EndTransaction(_Request):
    """Commits or aborts.

    Args:
        transactional_id: of the producer.
        producer: its id and epoch.
        is_commit: or an abort.
    """

    API_KEY, API_VERSION = 26, 5

    def __init__(self, transactional_id: str, producer: Producer, *, is_commit: bool) -> None:
        head = _text(transactional_id) + _PRODUCER.pack(*producer)
        super().__init__(head + (b"\1" if is_commit else b"\0") + _NO_TAGS)

    def decode(self, data: BytesIO) -> tuple[int, Producer]:
        """The error code, and the producer for the next transaction."""
        _throttle_ms, code, *producer = _Reader(data.read()).numbers(_ENDED)
        return code, Producer(*producer)


_CODE = struct.Struct(">h")
_INDEX = _THROTTLE = struct.Struct(">i")
_RANGE = struct.Struct(">hhh")  # key, least and greatest version
_LEVELS = struct.Struct(">hh")  # greatest and least
_WRITTEN = struct.Struct(">ihqqq")  # partition, code, offset, time, start of the log
_TAKEN = struct.Struct(">ih")  # partition, code
_COMMITTED = struct.Struct(">iqi")  # partition, offset, epoch of the leader
_PRODUCER = struct.Struct(">qh")  # id, epoch
_ENDED = struct.Struct(">ihqh")  # throttle, code, producer's id and epoch


def _length(length: int) -> bytes:
    """A compact length: one more than it, seven bits a byte, the least first."""
    number, out = length + 1, bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _length(len(encoded)) + encoded


def _topics(by_topic: Mapping[str, list[bytes]]) -> bytes:
    """An array of topics, each with an array of partitions."""
    parts = [_length(len(by_topic))]
    for topic, partitions in by_topic.items():
        parts += (_text(topic), _length(len(partitions)), *partitions, _NO_TAGS)
    return b"".join(parts)


class _Reader:
    """Reads the fields of an answer, one after another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def numbers(self, layout: struct.Struct) -> tuple[int, ...]:
        """Numbers of fixed width."""
        found = layout.unpack_from(self._data, self._at)
        self._at += layout.size
        return found

    def _unsigned(self) -> int:
        number = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7

    def length(self) -> int:
        """How many entries an array has; none where it is null."""
        return max(0, self._unsigned() - 1)

    def _bytes(self, length: int) -> bytes:
        self._at += length
        return self._data[self._at - length : self._at]

    def text(self) -> str:
        """A text, empty where it is null."""
        return self._bytes(self.length()).decode()

    def tags(self) -> dict[int, bytes]:
        """Tagged fields, by their tags."""
        return {self._unsigned(): self._bytes(self._unsigned()) for _ in range(self._unsigned())}
