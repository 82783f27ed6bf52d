"""When a lane that failed commits with the others again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.kafka.lanes import exactly_once
from processor.kafka.lanes.exactly_once import Lane
from processor.kafka.lanes.partition_lane import LaneContext
from processor.metrics import LaneMetrics, Metrics

SOURCE = TopicPartition("inbound", 0)
OUT: Any = object()


class Shared:
    """Shared transactions as a lane sees them."""

    async def name(self) -> str:
        return "relay"

    def seat(self, partition: int, turn: int, name: str) -> object:
        return SimpleNamespace(name=name)


@pytest.fixture
def lane() -> Lane:
    context = LaneContext(
        settings=Settings(),
        group="match",
        member=SimpleNamespace(client=None),  # type: ignore[arg-type]
        reader=None,  # type: ignore[arg-type]
        shared=Shared(),  # type: ignore[arg-type]
        sources=[SOURCE],
        outputs=[],
        metrics=LaneMetrics(Metrics(), "match"),
        at_step=lambda step: None,
        takes=None,  # type: ignore[arg-type]
        behind=lambda work: work.close(),
    )
    lane = Lane(context, SimpleNamespace(waits_for=None))
    lane._positions = SimpleNamespace(  # type: ignore[assignment]
        to_commit=lambda tp, offset, note, writer: (offset, writer)
    )
    return lane


async def test_a_lane_that_failed_alone_joins_when_it_is_past_what_failed(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed: list[Any] = []

    async def transact(producer: object, group: str, parts: Any, metrics: object) -> None:
        [part] = parts
        if part.offsets[SOURCE][0] == 9:
            raise BrokerUnavailable("an output of 9 cannot be written")
        committed.append(part.offsets[SOURCE])

    monkeypatch.setattr(exactly_once, "transact", transact)
    for end in (9, 3, 8):
        lane._move_to({SOURCE: end})
        if end == 9:
            with pytest.raises(BrokerUnavailable):
                await lane._commit(OUT, OUT)
        else:
            await lane._commit(OUT, OUT)
    assert committed == [(3, None), (8, None)]
    assert lane._seat is None
    lane._move_to({SOURCE: 10})
    await lane._commit(OUT, OUT)
    assert committed[-1] == (10, "relay")
    assert lane._seat is not None
