"""Whether match, gate and webhooks are well, as this process saw it last."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from processor import clocks
from processor.config import Settings
from processor.kafka.failures import NoBroker
from processor.kafka.topics.follower import NOT_ITS_FAULT, said
from processor.kafka.topics.lane_positions import EVERY_S, follow_positions
from processor.statistics.lane_health import WORST, Lane, Place, Position, Track, lanes_of, tracked
from processor.wire.topics import Topics

logger = logging.getLogger(__name__)

_OLD_S = 6 * EVERY_S  # an older look does not count


@dataclass(frozen=True, slots=True)
class RoleHealth:
    """The lanes of a role."""

    role: str
    workers: int
    lanes: Sequence[Lane]

    @property
    def waiting(self) -> int:
        """How many offsets are not done."""
        return sum(lane.waiting for lane in self.lanes)

    @property
    def state(self) -> str:
        """The worst state of its lanes, or ``unmanned`` if no worker has them."""
        if not self.workers:
            return "unmanned"
        return min((lane.state for lane in self.lanes), key=WORST.index, default="idle")

    @property
    def is_well(self) -> bool:
        """Whether it needs no person."""
        return self.state in ("idle", "works")


class LaneHealth:
    """Looks at the positions of the groups while it runs.

    Args:
        settings: of the installation.
        topics: full names.
    """

    def __init__(self, settings: Settings, topics: Topics) -> None:
        self._settings = settings
        self._roles = {
            "match": topics.sources("match"),
            "gate": topics.sources("gate"),
            # Retries wait in topics of their own, and that is usual.
            "webhooks": (topics.webhook_deliveries, topics.message_statuses),
        }
        self._tracks: dict[str, dict[Place, Track]] = {}
        self._workers: dict[str, int] = {}
        self._looked_s = 0.0  # monotonic

    @property
    def age_s(self) -> float | None:
        """The age of the last look in seconds; None if it is too old, or missing."""
        age_s = time.monotonic() - self._looked_s
        return age_s if self._tracks and age_s < _OLD_S else None

    def roles(self) -> list[RoleHealth]:
        """Every role; empty if the last look is too old."""
        if self.age_s is None:
            return []
        return [
            RoleHealth(role, self._workers[role], lanes_of(tracks))
            for role, tracks in self._tracks.items()
        ]

    async def follow(self) -> None:
        """Look for ever."""
        while True:
            try:
                await follow_positions(self._settings, self._roles, take=self._take)
            except (*NOT_ITS_FAULT, NoBroker) as error:
                logger.warning("health.unreadable", extra={"why": said(error)})
            await asyncio.sleep(clocks.RETRY_S)

    def _take(self, role: str, workers: int, positions: Mapping[Place, Position]) -> None:
        self._looked_s = time.monotonic()
        self._workers[role] = workers
        self._tracks[role] = tracked(self._tracks.get(role, {}), positions, self._looked_s)
