"""When the next record of a topic is begun, and when it delays no other record."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from processor.kafka.lanes import delivery_source
from processor.kafka.lanes.delivery_source import Source
from processor.kafka.lanes.finished_offsets import Offsets
from processor.kafka.writing import Outgoing


@dataclass
class AWork:
    """Work with the properties that a test sets."""

    account_sid: str = "AC1"
    wait_s: float = -math.inf
    begun: bool = False
    is_made: bool = False
    has_room: bool = True
    has_neighbours: bool = False

    async def do(self) -> Sequence[Outgoing]:
        return ()

    def committed(self) -> None:
        """Nothing is counted."""

    def put_off(self) -> Sequence[Outgoing]:
        return ()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def a_source(*works: AWork | Outgoing | None, age_s: float = 0.0, note: str = "") -> Source:
    source = Source(Offsets(0, note))
    for offset, work in enumerate(works):
        record: Any = SimpleNamespace(offset=offset, timestamp=now_ms() - 1000 * age_s)
        source.fetched.append((record, work))
    source.advance()
    return source


def test_what_asks_for_nothing_is_done_and_what_was_done_before_is_passed_over() -> None:
    source = a_source(None, None, AWork("AC2"))
    assert source.head is not None
    assert (source.head.record.offset, source.offsets.committed) == (2, 2)
    source = a_source(AWork(), AWork(), AWork(), note="1,1")
    assert source.take().record.offset == 0
    source.advance()
    assert source.take().record.offset == 2


def test_what_is_not_due_waits_and_all_behind_it() -> None:
    source = a_source(AWork(wait_s=60), AWork())
    source.advance()
    assert not source.is_ready
    assert 59 < source.wait_s <= 60
    assert (source.offsets.committed, len(source.fetched)) == (0, 1)
    source.drop()
    assert (source.head, len(source.fetched)) == (None, 0)


@pytest.mark.parametrize(
    ("age_s", "has_neighbours", "is_ready"),
    [(0, False, False), (0, True, False), (60, False, False), (60, True, True)],
)
def test_room_is_waited_for_unless_that_keeps_others_waiting(
    age_s: float, has_neighbours: bool, is_ready: bool
) -> None:
    work = AWork(has_room=False, has_neighbours=has_neighbours)
    assert a_source(work, age_s=age_s).is_ready is is_ready
    work.has_room = True
    assert a_source(work, age_s=age_s).is_ready


def test_a_retry_is_in_the_way_only_since_it_is_due() -> None:
    work = AWork(wait_s=-0.1, has_room=False, has_neighbours=True)
    assert not a_source(work, age_s=3600).is_ready
    work.wait_s -= delivery_source._PATIENCE_S
    assert a_source(work, age_s=3600).is_ready


def test_a_record_waits_as_long_as_it_says_when_its_turn_comes() -> None:
    first, second = AWork(), AWork(wait_s=7200)  # while the clock was two hours ahead
    source = a_source(first, second)
    source.take()
    second.wait_s = 3
    source.advance()
    assert 2 < source.wait_s <= 3


def test_a_dead_letter_needs_no_room() -> None:
    assert a_source(Outgoing("dead-letters", b"", b"")).is_ready
