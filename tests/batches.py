"""Record batches byte by byte, as no producer of ours writes them, and what is read of them."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import cramjam
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.util import calc_crc32c, encode_varint

from processor.config import Settings
from processor.kafka import fetched as module
from processor.kafka.codecs import GZIP, LZ4, NAMES, SNAPPY

PLACE = TopicPartition("texts", 3)
NONE = 0
CODECS = tuple(NAMES)
WRITTEN_AT_MS = time.time_ns() // 1_000_000  # a broker deletes what is older than a week
_HEAD = struct.Struct(">qiibIhiqqqhii")
_TRANSACTIONAL = 0x10
_ZEROS = bytes(1 << 20)

Headers = Sequence[tuple[bytes, bytes | None]]


def a_record(offset: int, key: bytes | None, value: bytes | None, headers: Headers = ()) -> bytes:
    """A record, its offset counted from the batch's first."""
    named = [_part(name) + _part(said) for name, said in headers]
    fields = [_number(offset), _part(key), _part(value), _number(len(named)), *named]
    record = b"".join((b"\0\0", *fields))  # attributes, time
    return _number(len(record)) + record


def a_long_record(offset: int, size: int, key: bytes | None = None) -> Iterator[bytes]:
    """A record whose value is so many zeros, in parts."""
    begin = b"\0\0" + _number(offset) + _part(key) + _number(size)
    yield _number(len(begin) + size + 1) + begin
    yield from zeros(size)
    yield _number(0)


def zeros(size: int) -> Iterator[bytes]:
    """So many, in parts."""
    for _ in range(size // len(_ZEROS)):
        yield _ZEROS
    yield bytes(size % len(_ZEROS))


def deflated(codec: int, parts: Iterable[bytes]) -> bytes:
    """A payload as the codec's own libraries make it; it need not fit the memory before."""
    if codec == NONE:
        return b"".join(parts)
    if codec == SNAPPY:
        return xerial(parts)
    if codec == GZIP:
        gzip = zlib.compressobj(9, zlib.DEFLATED, 31)
        return b"".join([*map(gzip.compress, parts), gzip.flush()])
    made: Any = cramjam.zstd.Compressor()
    if codec == LZ4:
        made = cramjam.lz4.Compressor(block_linked=False)  # as brokers want it
    for part in parts:
        made.compress(part)
    return bytes(made.finish())


def xerial(parts: Iterable[bytes]) -> bytes:
    """Snappy as Java writes it."""
    blocks = [bytes(cramjam.snappy.compress_raw(part)) for part in parts if part]
    sized = [len(block).to_bytes(4, "big") + block for block in blocks]
    return b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1) + b"".join(sized)


def a_batch(
    codec: int,
    payload: bytes,
    count: int,
    *,
    first: int = 0,
    last: int | None = None,
    wrong_checksum: bool = False,
    producer: int = -1,
    transactional: bool = False,
) -> bytes:
    """A batch as a broker keeps it.

    Args:
        codec: that its attributes name.
        payload: compressed, where it is.
        count: of records.
        first: offset.
        last: offset, where it is not that of the last of ``count``.
        wrong_checksum: as a bad disk leaves it.
        producer: id.
        transactional: whether it is of a transaction.
    """
    delta = count - 1 if last is None else last - first
    length = _HEAD.size - 12 + len(payload)
    times = (WRITTEN_AT_MS, WRITTEN_AT_MS)
    attributes = codec | (_TRANSACTIONAL if transactional else 0)
    head = _HEAD.pack(first, length, -1, 2, 0, attributes, delta, *times, producer, -1, -1, count)
    summed = head[21:] + payload
    crc = calc_crc32c(summed) ^ wrong_checksum
    return head[:17] + struct.pack(">I", crc) + summed


def batch_of(codec: int, records: Sequence[bytes], **place: Any) -> bytes:
    """A batch of records whose offsets are counted from 0."""
    return a_batch(codec, deflated(codec, records), len(records), **place)


async def write_batches(
    settings: Settings, topic: str, partition: int, *batches: tuple[bytes, int]
) -> None:
    """Write batches as they are, with the count of the records in each."""
    producer = AIOKafkaProducer(**settings.kafka(), max_request_size=1 << 24)
    await producer.start()
    try:
        for data, count in batches:
            batch = producer.create_batch()
            batch.close()
            batch._buffer, batch._relative_offset = bytearray(data), count
            await (await producer.send_batch(batch, topic, partition=partition))
    finally:
        await producer.stop()


def fetched(data: bytes, position: int = 0, *, aborted: Sequence[tuple[int, int]] = ()) -> Any:
    """The fetched records that a read_committed consumer has."""
    records = fetcher.MemoryRecords(data)
    options = (position, None, None, True, fetcher.READ_COMMITTED)
    return fetcher.PartitionRecords(PLACE, records, aborted, *options)


def walked(data: bytes, position: int = 0, *, most: Callable[[], int] = lambda: 5_000) -> list[Any]:
    """All that is handed out of what was fetched, so many at once."""
    records = fetched(data, position)
    found: list[Any] = []
    while not records.at_end:
        found += took(records, most())
    return found


def took(records: Any, most: int = 5_000) -> list[Any]:
    """What is handed out at once; a batch that waits for its turn takes it, if it can."""
    found: list[Any] = records.take(most)
    if records.waits and module._inflating.take_turn(records.waits):
        found += records.take(most)
    return found


def _number(number: int) -> bytes:
    made = bytearray()
    encode_varint(number, made.append)
    return bytes(made)


def _part(value: bytes | None) -> bytes:
    return _number(-1) if value is None else _number(len(value)) + value
