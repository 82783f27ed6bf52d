"""When the API takes a command to be in force: shown by the list, and beyond being undone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from processor.core.blocks import Mark
from processor.http import recipients
from processor.stores.whole_list import Found
from processor.wire import blocks as wire_blocks
from tests.builders import ENTRY, a_block, a_command

BLOCKED = wire_blocks.pack((a_block(),))


def found(*, blocked: bool, mark: Mark, committed: Mark) -> Found:
    return Found(BLOCKED if blocked else None, mark, committed)


async def looks_until_in_force(*looks: Found, blocked: bool = True) -> int:
    """How many of these looks it takes."""
    left: Iterator[Found] = iter(looks)
    taken = 0

    async def look(keys: Sequence[str]) -> list[Found]:
        nonlocal taken
        taken += 1
        return [next(left)]

    backend: Any = SimpleNamespace(block_list=SimpleNamespace(look=look))
    assert await recipients._in_force(backend, a_command(blocked=blocked), ENTRY)
    return taken


@pytest.mark.parametrize("blocked", [False, True])
async def test_r25_a_change_is_in_force_once_it_is_committed(blocked: bool) -> None:
    taken = await looks_until_in_force(
        found(blocked=not blocked, mark=Mark(1, 2), committed=Mark(1, 2)),
        found(blocked=blocked, mark=Mark(1, 3), committed=Mark(1, 2)),
        found(blocked=blocked, mark=Mark(1, 5), committed=Mark(1, 3)),
        blocked=blocked,
    )
    assert taken == 3


async def test_a_change_that_was_undone_and_made_again_between_two_looks_is_waited_for() -> None:
    taken = await looks_until_in_force(
        found(blocked=True, mark=Mark(1, 5), committed=Mark(1, 4)),
        found(blocked=True, mark=Mark(2, 2), committed=Mark(2, 1)),
        found(blocked=True, mark=Mark(2, 2), committed=Mark(2, 2)),
    )
    assert taken == 3


async def test_a_change_that_was_undone_is_waited_for_again() -> None:
    taken = await looks_until_in_force(
        found(blocked=True, mark=Mark(1, 5), committed=Mark(1, 4)),
        found(blocked=False, mark=Mark(2, 1), committed=Mark(2, 1)),
        found(blocked=True, mark=Mark(2, 2), committed=Mark(2, 1)),
        found(blocked=True, mark=Mark(2, 2), committed=Mark(2, 2)),
    )
    assert taken == 4


async def test_a_block_that_stood_before_is_in_force_at_the_first_look() -> None:
    assert (
        await looks_until_in_force(found(blocked=True, mark=Mark(1, 9), committed=Mark(1, 9))) == 1
    )
