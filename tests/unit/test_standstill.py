"""The stalls that the rebalance bench computes from a topic."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from aiokafka import TopicPartition

from tests.bench.standstill import Answer, Stops, Window, answers, held, seen, stops
from tests.raw_log import Entry
from tests.worker_process import Take

HERE = TopicPartition("allowed-sends.v1", 0)
OLD, NEW = (7, 0), (7, 1)
FIRST, SECOND = Path("first"), Path("second")


def an_entry(
    offset: int,
    at_ms: int,
    producer: tuple[int, int] | None = OLD,
    mark: Literal["commit", "abort"] | None = None,
    value: str = "",
) -> Entry:
    return Entry(HERE, offset, at_ms, producer, mark, None, value.encode())


def test_a_record_is_seen_when_its_transaction_and_all_before_it_have_ended() -> None:
    found = seen(
        [
            an_entry(0, 100),
            an_entry(1, 110, (8, 0)),
            an_entry(2, 120, (8, 0), "commit"),
            an_entry(3, 900, NEW, "abort"),
            an_entry(4, 910, NEW),
            an_entry(5, 920, NEW, "commit"),
            an_entry(6, 930, producer=None),
            an_entry(7, 940, NEW),
            an_entry(8, 950, producer=None),
        ]
    )
    assert [(one.entry.offset, one.at_ms, one.committed) for one in found] == [
        (0, 900, False),
        (1, 900, True),
        (4, 920, True),
        (6, 930, True),
    ]
    assert held(found, 105) == 795
    assert held(found, 905) == 0


def test_an_input_is_answered_by_its_committed_output() -> None:
    outputs = seen(
        [
            an_entry(0, 100, value="a"),
            an_entry(1, 110, mark="abort"),
            an_entry(2, 200, NEW, value="a"),
            an_entry(3, 210, NEW, "commit"),
        ]
    )
    inputs = [an_entry(0, 90, None, value="a"), an_entry(1, 95, None, value="b")]
    assert answers("gate", inputs, outputs, bytes.decode, bytes.decode) == (
        [Answer(("gate", 0), 90, 210)],
        ["b"],
    )


def test_a_partition_stayed_if_no_other_process_took_it() -> None:
    stays, moves = ("gate", 0), ("gate", 1)
    window = Window("a worker leaves", 1_000, 2_000)
    answered = [
        *(Answer(stays, at_ms, at_ms + 10) for at_ms in range(900, 2_100, 100)),
        Answer(moves, 900, 910),
        Answer(moves, 990, 1_800),
        Answer(moves, 1_700, 1_805),
        Answer(moves, 1_990, 5_000),
        Answer(moves, 2_500, 9_000),
    ]
    takes = [
        Take(10, stays, FIRST),
        Take(20, moves, SECOND),
        Take(1_200, stays, FIRST),
        Take(1_700, moves, FIRST),
        Take(2_200, stays, SECOND),
    ]
    assert stops(window, answered, takes) == Stops(
        stayed={stays: 10}, moved={moves: 800}, gaps={stays: 100, moves: 800}
    )
    window.goes_on = True
    assert stops(window, answered, takes) == Stops(
        stayed={stays: 10}, moved={moves: 3_010}, gaps={stays: 100, moves: 3_195}
    )
