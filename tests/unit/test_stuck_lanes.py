"""Which lanes another worker should have, by what a worker sees every five seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from processor.config import Settings
from processor.kafka.lanes import supervisor as module
from processor.kafka.lanes.partition_lane import LaneState
from processor.kafka.lanes.supervisor import Lanes
from processor.kafka.protocol import TopicNow
from processor.metrics import LaneMetrics, Metrics

AFTER_S = 45.0
SOURCE = TopicPartition("inbound", 0)
RUNS = LaneState(0, "running", 0.0, {SOURCE: 5})
WORKS = replace(RUNS, next_offsets={SOURCE: 9})
TAKES = LaneState(0, "taking", 0.0, {}, ill_since=0.0)
WAITS = LaneState(0, "the block list is being rebuilt", 0.0, {})


@dataclass(frozen=True)
class Look:
    """The observed state at a time."""

    at_s: float
    state: LaneState
    led: bool = True
    kafka: bool = True
    redis_since: float | None = 0.0


class Lane:
    def __init__(self) -> None:
        self.state = RUNS

    def reads_other_than(self, ids: object) -> bool:
        return False


class Watched:
    """A member with one lane, and the brokers that it asks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lanes = Lanes(
            Settings(),
            group="match",
            topics=["inbound"],
            outputs=["replies"],
            stage=lambda partition: pytest.fail("no stage is made"),
            metrics=LaneMetrics(Metrics(), "match"),
        )
        self._lane = Lane()
        self.lanes._lanes = {0: (self._lane, None)}  # type: ignore[dict-item]
        self.lanes._member = SimpleNamespace(client=object())  # type: ignore[assignment]
        self.lanes.joined = True
        self._look = Look(0.0, RUNS)
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self._look.at_s))
        monkeypatch.setattr(module, "topics_now", self._topics_now)
        monkeypatch.setattr(module, "log_ends", self._ends)

    async def _ends(
        self, client: Any, sources: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int]:
        return dict.fromkeys(sources, 9)

    async def _topics_now(self, client: Any, names: Sequence[str]) -> dict[str, TopicNow]:
        if not self._look.kafka:
            raise KafkaConnectionError
        led = frozenset({0} if self._look.led else ())
        return {
            name: TopicNow(name, frozenset({0}) if name == "inbound" else led, None)
            for name in names
        }

    async def looks(self, *looks: Look) -> list[bool]:
        """Whether the lane was stuck, at each look."""
        found = []
        for look in looks:
            self._look, self._lane.state = look, look.state
            stuck = await self.lanes.stuck(AFTER_S, redis_since=look.redis_since)
            found.append(bool(stuck))
        return found


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


async def test_a_lane_that_is_not_taken_is_stuck_in_the_end(watched: Watched) -> None:
    assert await watched.looks(Look(1, TAKES), Look(40, TAKES), Look(47, TAKES)) == [
        False,
        False,
        True,
    ]


async def test_a_lane_that_runs_is_stuck_if_it_does_nothing_though_it_has_records(
    watched: Watched,
) -> None:
    looks = Look(1, RUNS), Look(47, RUNS), Look(50, WORKS), Look(90, RUNS), Look(96, RUNS)
    assert await watched.looks(*looks) == [False, True, False, False, True]


async def test_what_every_worker_would_wait_for_does_not_count_nor_when_it_is_over(
    watched: Watched,
) -> None:
    looks = Look(1, TAKES), Look(40, WAITS), Look(100, WAITS), Look(105, TAKES), Look(146, TAKES)
    assert await watched.looks(*looks) == [False, False, False, False, True]


async def test_a_lane_whose_topics_have_no_leader_is_nobodys(watched: Watched) -> None:
    looks = [Look(at_s, TAKES, led=False) for at_s in (1, 47, 100)]
    assert await watched.looks(*looks, Look(105, TAKES), Look(146, TAKES)) == [
        *[False] * 4,
        True,
    ]


async def test_only_time_counts_in_which_kafka_and_redis_answer(watched: Watched) -> None:
    looks = [
        Look(1, TAKES),
        Look(50, TAKES, kafka=False),
        Look(55, TAKES),
        Look(60, TAKES, redis_since=None),
        Look(101, TAKES, redis_since=61),
        Look(107, TAKES, redis_since=61),
    ]
    assert await watched.looks(*looks) == [*[False] * 5, True]


async def test_a_member_that_kafka_does_not_answer_for_a_minute_is_made_anew(
    watched: Watched,
) -> None:
    await watched.looks(Look(1, RUNS, kafka=False), Look(60, RUNS, kafka=False))
    assert watched.lanes.unheard
    assert not watched.lanes._rejoin.is_set()
    await watched.looks(Look(62, RUNS, kafka=False))
    assert watched.lanes._rejoin.is_set()
