"""The runtime of a worker, from start to stop. It knows nothing of Faust."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from processor import servers
from processor.config import Settings
from processor.kafka import fetched
from processor.kafka.lanes.lane_state import LaneState
from processor.kafka.lanes.supervisor import Lanes
from processor.stages.deliver_webhooks import Tokens
from processor.suspicion import searching
from processor.wire import screening
from processor.worker import health
from processor.worker.auditing import Auditor
from processor.worker.roles import lanes_of
from processor.worker.shared import Shared
from processor.worker.watchdog import End, Watchdog

if TYPE_CHECKING:  # it need not be installed
    from opentelemetry.sdk.trace import TracerProvider

logger = logging.getLogger(__name__)

_LANES_STOP_S = 25.0
_COUNTS_STOP_S = 2.0


class _Counts(Protocol):
    def stop(self) -> None: ...

    async def run(self) -> None: ...


class Runtime:
    """The lanes of a process, and the views of the configuration that they go by.

    Args:
        settings: checked.
        at_step: see ``Lane``; for crash tests.
        provider: of OpenTelemetry's tracers, None for no spans.
        tokens: that webhooks are signed with, the accounts' own if None.
    """

    def __init__(
        self,
        settings: Settings,
        at_step: Callable[[str], None] = lambda step: None,
        provider: TracerProvider | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        self.settings = settings
        self.lanes: dict[str, Lanes] = {}
        self.shared = Shared(
            settings,
            looks=lambda: health.looks(self.lanes),
            at_step=at_step,
            provider=provider,
            tokens=tokens,
        )
        self.lanes |= lanes_of(self.shared)
        self._watchdog = Watchdog(settings, self.shared.redis, self.lanes)
        self._following: asyncio.Task[None] | None = None
        self._running: list[asyncio.Task[None]] = []
        self._counting: list[asyncio.Task[None]] = []
        self._auditor = Auditor(settings, self.shared.metrics) if _audits(settings) else None
        self._auditing: asyncio.Task[None] | None = None

    async def wait_for_servers(self) -> None:
        """See ``servers``."""
        await servers.wait_for_servers(self.settings, self.shared.redis, who="worker")

    def start(self) -> None:
        """Begin to follow the configuration and to work."""
        native = all(each.is_native() for each in (fetched, screening, searching))
        logger.info("worker.readers", extra={"native": native})
        self._following = asyncio.create_task(self.shared.follow(self.lanes))
        self._running = [asyncio.create_task(lanes.run()) for lanes in self.lanes.values()]
        self._counting = [asyncio.create_task(each.run()) for each in self._counts()]
        if self._auditor is not None:
            self._auditing = asyncio.create_task(self._auditor.run())

    async def wait(self) -> None:
        """Wait while the configuration is followed: for ever, unless no lane goes by it.

        Raises:
            ExceptionGroup: following it failed; the worker cannot go on.
        """
        assert self._following is not None
        await asyncio.shield(self._following)

    async def loaded(self) -> None:
        """Wait until the configuration is known, where a lane goes by it."""
        if self.lanes:
            await self.shared.services.wait_loaded()

    async def watch(self) -> End:
        """Return once the process should end, see ``Watchdog``."""
        return await self._watchdog.watch()

    async def stop(self) -> bool:
        """Finish what is in hand, commit it, and drop the connections.

        Returns:
            Whether all of it ended in time and without a failure.
        """
        if self._auditing is not None:
            self._auditing.cancel()  # records whose audit is not saved are audited again
            await asyncio.gather(self._auditing, return_exceptions=True)
        for lanes in self.lanes.values():
            lanes.stop()
        ended = await _ended(self._running, _LANES_STOP_S)
        for each in self._counts():
            each.stop()
        ended &= await _ended(self._counting, _COUNTS_STOP_S)
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self.shared.close()
        return ended

    def _counts(self) -> list[_Counts]:
        """The writers of statistics; they end after the lanes."""
        shared = self.shared
        always = (shared.counts, shared.send_counts)
        return [*always, shared.carrier_figures] if "carriers" in self.lanes else [*always]

    def states(self) -> dict[str, list[LaneState]]:
        """How every lane is, by role."""
        return {role: lanes.states() for role, lanes in self.lanes.items()}

    def unready(self) -> list[str]:
        """Why this worker is not ready; empty where it is."""
        problem = self._auditor.problem if self._auditor else None
        return health.unready(self.shared, self.lanes, self._watchdog.redis_problem, problem)


def _audits(settings: Settings) -> bool:
    return "audit" in settings.roles


async def _ended(tasks: list[asyncio.Task[None]], timeout_s: float) -> bool:
    """Wait for tasks that were asked to end; whether all did, and none failed."""
    if not tasks:
        return True
    done, late = await asyncio.wait(tasks, timeout=timeout_s)
    errors = [error for task in done if not task.cancelled() and (error := task.exception())]
    for error in errors:
        logger.error("worker.failed", exc_info=error)
    return not late and not errors
