"""Our requests and answers of transactions are what aiokafka's field types make of them."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactBytes,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
    UnsignedVarInt32,
)
from aiokafka.structs import OffsetAndMetadata
from hypothesis import given
from hypothesis import strategies as st

from processor.kafka.transaction_protocol import (
    ApiVersions,
    CommitOffsets,
    EndTransaction,
    Produce,
    Producer,
)

TEXT = CompactString("utf-8")
TAGS = ("tags", TaggedFields)
PRODUCE = Schema(
    ("transactional_id", TEXT),
    ("acks", Int16),
    ("timeout_ms", Int32),
    (
        "topics",
        CompactArray(
            ("name", TEXT),
            ("partitions", CompactArray(("index", Int32), ("records", CompactBytes), TAGS)),
            TAGS,
        ),
    ),
    TAGS,
)
PRODUCED = Schema(
    (
        "topics",
        CompactArray(
            ("name", TEXT),
            (
                "partitions",
                CompactArray(
                    ("index", Int32),
                    ("code", Int16),
                    ("offset", Int64),
                    ("time", Int64),
                    ("start", Int64),
                    ("records", CompactArray(("index", Int32), ("message", TEXT), TAGS)),
                    ("message", TEXT),
                    TAGS,
                ),
            ),
            TAGS,
        ),
    ),
    ("throttle_ms", Int32),
    TAGS,
)
COMMIT = Schema(
    ("transactional_id", TEXT),
    ("group", TEXT),
    ("producer", Int64),
    ("epoch", Int16),
    ("generation", Int32),
    ("member", TEXT),
    ("instance", TEXT),
    (
        "topics",
        CompactArray(
            ("name", TEXT),
            (
                "partitions",
                CompactArray(
                    ("index", Int32), ("offset", Int64), ("epoch", Int32), ("note", TEXT), TAGS
                ),
            ),
            TAGS,
        ),
    ),
    TAGS,
)
COMMITTED = Schema(
    ("throttle_ms", Int32),
    (
        "topics",
        CompactArray(
            ("name", TEXT),
            ("partitions", CompactArray(("index", Int32), ("code", Int16), TAGS)),
            TAGS,
        ),
    ),
    TAGS,
)
END = Schema(
    ("transactional_id", TEXT), ("producer", Int64), ("epoch", Int16), ("commit", Boolean), TAGS
)
ENDED = Schema(("throttle_ms", Int32), ("code", Int16), ("producer", Int64), ("epoch", Int16), TAGS)
FEATURES = CompactArray(("name", TEXT), ("most", Int16), ("least", Int16), TAGS)
VERSIONS = Schema(
    ("code", Int16),
    ("requests", CompactArray(("key", Int16), ("least", Int16), ("most", Int16), TAGS)),
    ("throttle_ms", Int32),
    TAGS,
)

names = st.text(max_size=300)
places = st.builds(TopicPartition, names, st.integers(0, 2**31 - 1))
codes = st.integers(-(2**15), 2**15 - 1)
numbers = st.integers(-(2**63), 2**63 - 1)
producers = st.builds(Producer, numbers, codes)
tags = st.dictionaries(st.integers(1, 300), st.binary(max_size=20), max_size=3).map(
    # aiokafka writes a tag's bytes as they are, and reads them behind their length
    lambda found: {
        tag: UnsignedVarInt32.encode(len(found[tag])) + found[tag] for tag in sorted(found)
    }
)


def by_topic(of: dict[TopicPartition, Any]) -> list[tuple[str, list[Any], dict[int, bytes]]]:
    """Partitions under their topics, in the order in which they came."""
    topics: dict[str, list[Any]] = {}
    for tp, fields in of.items():
        topics.setdefault(tp.topic, []).append((tp.partition, *fields, {}))
    return [(topic, partitions, {}) for topic, partitions in topics.items()]


@given(names, st.integers(0, 2**31 - 1), st.dictionaries(places, st.binary(max_size=400)))
def test_batches_are_written(
    name: str, timeout_ms: int, batches: dict[TopicPartition, bytes]
) -> None:
    whole = {tp: bytearray(batch) for tp, batch in batches.items()}
    topics = by_topic({tp: (batch,) for tp, batch in batches.items()})
    assert Produce(name, timeout_ms, whole).encode() == PRODUCE.encode(
        (name, -1, timeout_ms, topics, {})
    )


@given(st.dictionaries(places, codes), st.lists(st.tuples(st.integers(0, 9), names)), tags, names)
def test_answers_about_batches_are_read(
    answered: dict[TopicPartition, int],
    refused: list[tuple[int, str]],
    more: dict[int, bytes],
    why: str,
) -> None:
    records = [(index, text or None, more) for index, text in refused]
    topics = [
        (topic, [(index, code, 7, -1, 0, records, why, more) for index, code, _ in parts], more)
        for topic, parts, _ in by_topic({tp: (code,) for tp, code in answered.items()})
    ]
    answer = BytesIO(PRODUCED.encode((topics, 0, more)))
    assert Produce("id", 0, {}).decode(answer) == answered


@given(names, producers, names, st.dictionaries(places, st.tuples(numbers, names)))
def test_offsets_are_committed(
    name: str, producer: Producer, group: str, offsets: dict[TopicPartition, tuple[int, str]]
) -> None:
    committed = {tp: OffsetAndMetadata(*one) for tp, one in offsets.items()}
    topics = by_topic({tp: (offset, -1, note) for tp, (offset, note) in offsets.items()})
    assert CommitOffsets(name, producer, group, committed).encode() == COMMIT.encode(
        (name, group, *producer, -1, "", None, topics, {})
    )


@given(st.dictionaries(places, codes), tags)
def test_answers_about_offsets_are_read(
    answered: dict[TopicPartition, int], more: dict[int, bytes]
) -> None:
    topics = [
        (topic, [(index, code, more) for index, code, _ in parts], more)
        for topic, parts, _ in by_topic({tp: (code,) for tp, code in answered.items()})
    ]
    answer = BytesIO(COMMITTED.encode((0, topics, more)))
    assert CommitOffsets("id", Producer(0, 0), "group", {}).decode(answer) == answered


@given(names, producers, st.booleans(), codes, producers)
def test_a_transaction_ends(
    name: str, producer: Producer, is_commit: bool, code: int, later: Producer
) -> None:
    request = EndTransaction(name, producer, is_commit=is_commit)
    assert request.encode() == END.encode((name, *producer, is_commit, {}))
    assert request.decode(BytesIO(ENDED.encode((0, code, *later, {})))) == (code, later)


@given(
    st.lists(st.tuples(codes, codes, codes)),
    st.dictionaries(names, st.integers(0, 9), max_size=5),
    st.none() | st.integers(0, 9),
)
def test_the_level_of_transactions_is_read(
    requests: list[tuple[int, int, int]], others: dict[str, int], level: int | None
) -> None:
    agreed = others | ({} if level is None else {"transaction.version": level})
    of_all = FEATURES.encode([(name, most, 0, {}) for name, most in agreed.items()])
    said = (
        {} if level is None and not others else {2: UnsignedVarInt32.encode(len(of_all)) + of_all}
    )
    answer = VERSIONS.encode((0, [(*one, {}) for one in requests], 0, said))
    assert ApiVersions().decode(BytesIO(answer)) is ((level or 0) >= 2)


def test_a_broker_that_does_not_speak_a_version_is_not_asked() -> None:
    request = EndTransaction("id", Producer(0, 0), is_commit=True)
    assert request.prepare({26: (0, 5)}) is request
    for spoken in ({}, {26: (0, 4)}, {26: (6, 7)}):
        with pytest.raises(IncompatibleBrokerVersion):
            request.prepare(spoken)
