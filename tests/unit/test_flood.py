"""Bad records are put aside; a flood of them stops the lane, so that they stay where they are."""

from __future__ import annotations

import pytest

from processor.errors import TooManyRefused
from processor.kafka.flood import Flood


def seen(limit: int, *batches: tuple[int, int]) -> Flood:
    flood = Flood(limit)
    for read, refused in batches:
        flood.check(read, refused)
        flood.add(read, refused)
    return flood


@pytest.mark.parametrize(
    "batches",
    [
        [(500, 500)],
        [(1000, 500)] * 10,
        [(10_000, 5_000)],
        [(1, 1)] * 500,
        [(1000, 500), (5000, 0), (500, 250)],
    ],
)
def test_bad_records_among_good_ones_are_no_flood(batches: list[tuple[int, int]]) -> None:
    seen(1000, *batches)


@pytest.mark.parametrize(
    ("before", "batch"),
    [
        ([], (501, 501)),
        ([], (10_000, 5_001)),
        ([(1000, 0)], (1100, 1100)),
        ([(1, 1)] * 500, (1, 1)),
        ([(100_000, 0)], (1001, 1001)),
    ],
)
def test_more_than_half_of_the_last_records_are_a_flood(
    before: list[tuple[int, int]], batch: tuple[int, int]
) -> None:
    flood = seen(1000, *before)
    for _ in range(2):  # a batch that is tried again is counted once
        with pytest.raises(TooManyRefused, match="OPTOUT_DEAD_LETTER_LIMIT"):
            flood.check(*batch)


def test_without_a_limit_there_is_no_flood() -> None:
    seen(0, *[(10_000, 10_000)] * 5)
