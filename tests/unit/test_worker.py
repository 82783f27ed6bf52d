"""When a worker is ready, and when its process should end. No server is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from processor.config import Settings
from processor.errors import StoreUnavailable
from processor.kafka.lanes.lane_state import Doing, LaneState
from processor.metrics import LaneLook
from processor.worker import health, watchdog
from processor.worker.watchdog import End, Watchdog

RUNS = LaneState(0, Doing.RUNNING, 0.0, {})
QUEUES = LaneState(1, Doing.QUEUED, 0.0, {})
WAITS = LaneState(2, Doing.WAITING, 0.0, {}, reason="the block list is being rebuilt")


@dataclass
class FakeLanes:
    """A role's lanes, as the watchdog and the health see them."""

    all_states: Sequence[LaneState] = (RUNS,)
    stuck_at_look: int | None = None
    unfit: str | None = None
    joined: bool = True
    failed: str | None = None
    unheard: bool = False
    lags: dict[int, int] = field(default_factory=dict)
    redis_since: list[float | None] = field(default_factory=list)
    handed_over: int = 0

    async def stuck(self, after_s: float, *, redis_since: float | None) -> Sequence[LaneState]:
        self.redis_since.append(redis_since)
        return self.all_states if len(self.redis_since) == self.stuck_at_look else ()

    async def hand_over(self) -> None:
        self.handed_over += 1

    def states(self) -> Sequence[LaneState]:
        return self.all_states


class FakeRedis:
    """Answers each look with the next answer, and repeats the last answer for ever."""

    def __init__(self, *answers: Exception | None) -> None:
        self._answers = list(answers)

    async def check(self) -> None:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is not None:
            raise answer


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_WATCH_S", 0.0)


def watching(redis: Any, **lanes: Any) -> Watchdog:
    return Watchdog(Settings(), redis, lanes)


@pytest.mark.usefixtures("often")
async def test_a_stuck_lane_ends_the_process_once_every_role_has_handed_over() -> None:
    stuck, well = FakeLanes(stuck_at_look=3), FakeLanes()
    assert await watching(FakeRedis(None), match=well, gate=stuck).watch() is End.STUCK
    assert (stuck.handed_over, well.handed_over) == (1, 1)


@pytest.mark.usefixtures("often")
async def test_topics_that_are_not_as_set_end_the_process_at_once() -> None:
    lanes = FakeLanes(unfit="6 partitions where 4 are expected")
    assert await watching(FakeRedis(None), match=lanes).watch() is End.UNFIT
    assert lanes.handed_over == 0
    assert (End.STUCK.value, End.UNFIT.value) == (1, 2)


@pytest.mark.usefixtures("often")
async def test_redis_has_answered_since_its_last_failure() -> None:
    redis = FakeRedis(None, StoreUnavailable("Redis: gone"), None)
    lanes = FakeLanes(stuck_at_look=4)
    watched = watching(redis, match=lanes)
    assert await watched.watch() is End.STUCK
    first, failed, again, later = lanes.redis_since
    assert failed is None
    assert again == later
    assert first is not None
    assert again is not None
    assert again > first
    assert watched.redis_problem is None


def shared(services_s: float = 0.0, accounts_s: float = 0.0, **unopened: Any) -> Any:
    return SimpleNamespace(
        services=SimpleNamespace(age_s=services_s),
        accounts=SimpleNamespace(topic=SimpleNamespace(age_s=accounts_s)),
        tokens=SimpleNamespace(unopened=lambda: unopened),
    )


def test_a_worker_whose_lanes_run_is_ready() -> None:
    lanes: Any = {"match": FakeLanes()}
    assert health.unready(shared(), lanes, None) == []


def test_a_worker_that_is_not_ready_gives_every_reason() -> None:
    lanes: Any = {
        "match": FakeLanes([RUNS, QUEUES], joined=False),
        "gate": FakeLanes([WAITS], unheard=True, unfit="6 partitions where 4 are expected"),
        "webhooks": FakeLanes([], joined=False, failed="GroupAuthorizationFailedError"),
    }
    sealed = SimpleNamespace(key_id="k1")
    found = health.unready(shared(61.0, 62.0, AC1=sealed, AC2=sealed), lanes, "Redis: gone")
    assert found == [
        "Redis: gone",
        "the configuration was current 61 s ago",
        "the accounts were current 62 s ago",
        "match: no member",
        "gate: Kafka does not answer",
        "webhooks: GroupAuthorizationFailedError",
        "webhooks: OPTOUT_SECRET_KEYS opens no token of AC1, AC2, sealed with key k1; their"
        " deliveries wait",
        "gate: 6 partitions where 4 are expected",
        "match 1: waits for its turn to be taken",
        "gate 2: the block list is being rebuilt",
    ]


def test_metrics_see_every_lane() -> None:
    lanes: Any = {"gate": FakeLanes([RUNS, WAITS], lags={2: 7})}
    assert list(health.looks(lanes)) == [
        LaneLook("gate", 0, True, None),
        LaneLook("gate", 2, False, 7),
    ]
