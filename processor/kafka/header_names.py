"""Names of headers that are not UTF-8, read as Kafka's Java client does: U+FFFD for each fault.

aiokafka 0.14 raises while it decodes the record, keeps its position, and reads it again for ever: a
partition, or the configuration, would stand still for a header of somebody else's. What was fetched
with it is then decoded anew, from the first record that was not handed out: neighbours are neither
lost nor read twice. Only this goes the slower way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy


class _Lenient(bytearray):
    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return _Lenient(part) if isinstance(index, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)


class _Batch(_DefaultRecordBatchPy):  # type: ignore[misc]
    _buffer: Any

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Lenient(self._buffer)


class _LenientRecords(_MemoryRecordsPy):  # type: ignore[misc]
    def next_batch(self) -> Any:
        data = self._next_slice
        batch = super().next_batch()
        return _Batch(data) if batch is not None and batch.magic >= 2 else batch


class _Records:
    """What was fetched, as aiokafka reads it, and as bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        records = MemoryRecords(data)
        self.has_next, self.next_batch = records.has_next, records.next_batch
        self.size_in_bytes = records.size_in_bytes


class _Rest:
    """The batches that end behind an offset: those before were handed out, or passed over."""

    def __init__(self, data: bytes, offset: int) -> None:
        records, self._left = _LenientRecords(data), deque[Any]()
        while records.has_next():
            if (batch := records.next_batch()).next_offset > offset:
                self._left.append(batch)

    def has_next(self) -> bool:
        return bool(self._left)

    def next_batch(self) -> Any:
        return self._left.popleft()


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    _records: Any

    def _unpack_records(self) -> Iterator[Any]:
        try:
            yield from super()._unpack_records()
        except UnicodeDecodeError:
            # Which transactions were aborted is known up to the batch that failed, and stays so.
            self._records = _Rest(self._records.data, self.next_fetch_offset)
            yield from super()._unpack_records()


def read_leniently() -> None:
    """Have every consumer of this process read so; a second call changes nothing."""
    fetcher.MemoryRecords = _Records
    fetcher.PartitionRecords = _PartitionRecords
