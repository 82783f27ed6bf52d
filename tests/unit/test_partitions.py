"""Partitions are Kafka's own: murmur2, for one key or a batch of keys."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2

from processor.core.partitions import all_in, partition_of, partitions_of
from tests.builders import RECIPIENT


def kafkas(key: bytes, partitions: int) -> int:
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


@pytest.mark.parametrize("size", range(18))
@pytest.mark.parametrize("partitions", [1, 2, 12, 1000])
def test_a_key_of_any_length_stands_where_kafka_puts_it(size: int, partitions: int) -> None:
    keys = [bytes((start + 37 * index) % 256 for index in range(size)) for start in range(256)]
    assert partitions_of(keys, partitions) == [kafkas(key, partitions) for key in keys]


def test_a_batch_of_mixed_lengths_keeps_its_order() -> None:
    keys = [f"+1555{number}".encode() for number in (1, 22, 333, 4444, 55555, 666666, 7777777)] * 3
    assert partitions_of(keys, 12) == [kafkas(key, 12) for key in keys]


def test_one_key_is_a_batch_of_one() -> None:
    assert partition_of(RECIPIENT.encode(), 12) == kafkas(RECIPIENT.encode(), 12)


def test_keys_of_any_lengths_belong_to_one_partition_or_not() -> None:
    keys = [one for number in range(9999) if partition_of(one := f"+1{number}".encode(), 4) == 2]
    assert {len(key) for key in keys} == {4, 5, 6}
    assert all_in(keys, 2, 4)
    assert not all_in(keys, 1, 4)
    assert not all_in(
        [*keys, next(one for one in (b"+8", b"+9", b"+10", b"+11") if partition_of(one, 4) != 2)],
        2,
        4,
    )


def test_an_empty_batch_has_no_partitions() -> None:
    assert partitions_of([], 12) == []


def test_the_partition_is_the_one_the_java_client_chooses() -> None:
    """Values of Kafka's own UtilsTest."""
    hashes = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536}
    hashes |= {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971}
    assert {key: partition_of(key.encode(), 1 << 31) for key in hashes} == {
        key: value & 0x7FFFFFFF for key, value in hashes.items()
    }
