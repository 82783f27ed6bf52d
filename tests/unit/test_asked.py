"""What makes a right needless, which every role's rights are held against."""

from __future__ import annotations

import pytest

from tests.asked import needless
from tests.secured import Right

EVERY = Right("topics", "*", "Describe")
READ = Right("topics", "a.v1", "Read")
WRITE = Right("topics", "a.v1", "Write")
GROUP = Right("groups", "a.v1", "Read")


def of_a(operation: str) -> Right:
    return Right("topics", "a.v1", operation)


@pytest.mark.parametrize(
    ("rights", "asked", "left"),
    [
        ([READ, WRITE], [of_a("Read"), of_a("Write")], set()),
        ([READ, WRITE], [of_a("Read"), of_a("Describe")], {WRITE}),
        ([EVERY, READ], [of_a("Read"), of_a("Describe")], {EVERY}),
        ([EVERY, READ], [of_a("Read"), Right("topics", "b.v1", "Describe")], set()),
        ([READ, GROUP], [of_a("Read")], {GROUP}),
        ([READ, READ], [of_a("Read")], {READ}),
        ([READ], [], {READ}),
    ],
)
def test_a_right_is_needless_where_nothing_would_be_refused_without_it(
    rights: list[Right], asked: list[Right], left: set[Right]
) -> None:
    assert needless(rights, asked) == left
