"""After a batch that takes too long, batches get smaller until they are fast enough."""

from __future__ import annotations

import pytest

from processor.kafka.lanes.batch_size import BatchSize


def test_a_lane_comes_to_batches_that_are_done_in_time_and_back_again() -> None:
    size = BatchSize(5_000)
    sizes = []
    for _ in range(4):
        size.took(4.0)  # as long as a commit has
        sizes.append(size.now)
    assert sizes == [2_500, 1_250, 625, 312]
    size.took(0.7)
    assert size.now == 312
    for _ in range(10):
        size.took(0.1)
    assert size.now == 5_000


@pytest.mark.parametrize(("most", "fewest"), [(5_000, 50), (10, 10)])
def test_a_few_records_are_always_taken(most: int, fewest: int) -> None:
    size = BatchSize(most)
    for _ in range(20):
        size.took(10.0)
    assert size.now == fewest
