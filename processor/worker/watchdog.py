"""Looks whether the servers answer and the lanes work, and says when a new process should try."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from enum import Enum

from processor.config import Settings
from processor.errors import ConfigError, StoreUnavailable
from processor.kafka.lanes.supervisor import Lanes
from processor.stores.redis_client import RedisClient

logger = logging.getLogger(__name__)

_WATCH_S = 5.0


class End(Enum):
    """Why the process should end; the value is its exit code."""

    STUCK = 1  # a lane does not get to work, though the servers answer
    UNFIT = 2  # the topics are not as set; a new process says what to do


class Watchdog:
    """Watches the lanes of a worker.

    Args:
        settings: of the worker.
        redis: that the lanes use.
        lanes: by role.
    """

    def __init__(self, settings: Settings, redis: RedisClient, lanes: Mapping[str, Lanes]) -> None:
        self._settings = settings
        self._redis = redis
        self._lanes = lanes
        self._redis_since: float | None = None  # has answered at every look, monotonic seconds
        self.redis_problem: str | None = None  # as last looked at

    async def watch(self) -> End:
        """Look every few seconds; return once the process should end.

        The partitions of a stuck worker are given up by then, so that others have them at once.
        """
        while True:
            await asyncio.sleep(_WATCH_S)
            await self._look_at_redis()
            for role, lanes in self._lanes.items():
                if lanes.unfit:
                    return End.UNFIT
                if await self._are_stuck(role, lanes):
                    await asyncio.gather(*(one.hand_over() for one in self._lanes.values()))
                    return End.STUCK

    async def _look_at_redis(self) -> None:
        try:
            await self._redis.check()
        except (ConfigError, StoreUnavailable) as error:
            self.redis_problem, self._redis_since = str(error), None
        else:
            self.redis_problem = None
            self._redis_since = self._redis_since or time.monotonic()

    async def _are_stuck(self, role: str, lanes: Lanes) -> bool:
        stuck = await lanes.stuck(self._settings.watchdog_s, redis_since=self._redis_since)
        for state in stuck:
            extra = {"role": role, "partition": state.partition, "why": state.text}
            logger.error("worker.stuck", extra=extra)
        return bool(stuck)
