"""The checksum of record batches, CRC-32C: by the CPU's instruction, else by aiokafka's table."""

from __future__ import annotations

import struct

from aiokafka.record.util import calc_crc32c

try:
    from processor.kafka._checksum import crc32c as native
except ImportError:  # it was not built, or the CPU has no such instruction
    native = None  # type: ignore[assignment]

_SUM = struct.Struct(">I")
_AT, _BEHIND = 17, 21  # in a batch: the checksum, and what it is computed of


def is_whole(batch: memoryview) -> bool:
    """Whether the checksum of a batch (in the format of Kafka 0.11 and later) is right."""
    said: int = _SUM.unpack_from(batch, _AT)[0]
    return said == _sum(batch)


def seal(batch: bytearray) -> None:
    """Write a batch's checksum into it."""
    _SUM.pack_into(batch, _AT, _sum(memoryview(batch)))


def _sum(batch: memoryview) -> int:
    summed = batch[_BEHIND:]
    return int(calc_crc32c(summed)) if native is None else native(summed)
