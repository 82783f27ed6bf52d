"""Whether match, gate, webhooks and carriers are well, as this process saw it last."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from processor import clocks
from processor.config import Settings
from processor.kafka.failures import NoBroker
from processor.kafka.topics.follower import NOT_ITS_FAULT, said
from processor.kafka.topics.lane_positions import EVERY_S, Look, follow_positions
from processor.statistics.lane_health import WORST, Lane, Place, Track, lanes_of, tracked
from processor.wire.topics import Topics

logger = logging.getLogger(__name__)

_OPTIONAL = ("webhooks", "carriers")  # an installation may read the topics instead
_OLD_S = 6 * EVERY_S  # an older look does not count


@dataclass(frozen=True, slots=True)
class RoleHealth:
    """The lanes of a role."""

    role: str
    workers: int
    has_run: bool  # in this installation
    lanes: Sequence[Lane]
    retrying: int = 0  # records that wait for another try; offsets of some are done

    @property
    def waiting(self) -> int:
        """How many offsets are not done."""
        return sum(lane.waiting for lane in self.lanes)

    @property
    def state(self) -> str:
        """The worst state of its lanes; without a worker ``unmanned``, or ``unused`` so far."""
        if not self.workers:
            return "unmanned" if self.has_run else "unused"
        return min((lane.state for lane in self.lanes), key=WORST.index, default="idle")

    @property
    def is_well(self) -> bool:
        """Whether it needs no person."""
        return self.state in ("idle", "works") or (
            self.state == "unused" and self.role in _OPTIONAL
        )


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
            "webhooks": (topics.webhook_deliveries, topics.message_statuses),
            "carriers": (topics.reply_sends, topics.allowed_sends),
        }
        # Retries wait in topics of their own, and that is usual: no lane is behind for them.
        self._retries = {"webhooks": topics.webhook_retries, "carriers": topics.carrier_retries}
        self._tracks: dict[str, dict[Place, Track]] = {}
        self._last: dict[str, Look] = {}
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
            RoleHealth(
                role,
                last.workers,
                last.has_run,
                lanes_of(self._tracks[role]),
                self._retrying(role, last),
            )
            for role, last in self._last.items()
        ]

    async def follow(self) -> None:
        """Look for ever."""
        topics = {role: (*of, *self._retries.get(role, ())) for role, of in self._roles.items()}
        while True:
            try:
                await follow_positions(self._settings, topics, take=self._take)
            except (*NOT_ITS_FAULT, NoBroker) as error:
                logger.warning("health.unreadable", extra={"why": said(error)})
            await asyncio.sleep(clocks.RETRY_S)

    def _take(self, role: str, look: Look) -> None:
        self._looked_s = time.monotonic()
        self._last[role] = look
        of = self._roles[role]
        worked = {place: one for place, one in look.positions.items() if place[0] in of}
        self._tracks[role] = tracked(self._tracks.get(role, {}), worked, self._looked_s)

    def _retrying(self, role: str, look: Look) -> int:
        waiting = self._retries.get(role, ())
        return sum(
            max(0, one.end - one.done)
            for (topic, _), one in look.positions.items()
            if topic in waiting
        )
