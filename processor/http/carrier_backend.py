"""The state behind providers' requests: the carriers, and the producer that stores messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from processor import certificates, clocks, servers
from processor.config import Settings
from processor.errors import BrokerUnavailable, ConfigError
from processor.kafka.shared_writing import SharedWriter, shared_writer
from processor.kafka.topics.carrier_figures_topic import CarrierFiguresWriter
from processor.kafka.topics.carriers_topic import CarriersView
from processor.kafka.writing import Outgoing
from processor.metrics import Metrics
from processor.statistics.carrier_figures import State, Tally
from processor.wire.topics import Topics

logger = logging.getLogger(__name__)

_OLD_S = 60.0  # of the carriers


class CarrierBackend:
    """Shared by all requests of a process; ``running`` keeps it alive."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topics = Topics.under(settings.topic_prefix)
        self.metrics = Metrics()
        self.view = CarriersView(settings, self.topics.carriers, self.metrics)
        self.tally = Tally()
        self._figures = CarrierFiguresWriter(
            settings, self.topics.carrier_figures, "inbound", self.tally, self._states
        )
        self._writer: SharedWriter | None = None
        self._stores = True  # whether Kafka took the last request
        self._unfit = ""
        self.exit_code = 0  # set when the process has to end by itself

    def ended(self) -> str:
        """Reasons why this process will never serve again; empty if it may."""
        return self._unfit

    def close_streams(self) -> None:
        """Nothing: every response has an end."""

    def unready(self) -> list[str]:
        """Reasons why requests cannot be served now; empty if they can."""
        if self._unfit:
            return [self._unfit]
        if self._writer is None:
            return ["waiting for Kafka"]
        if not self.view.topic.loaded:
            return ["reading the carriers"]
        closed = [f"{name}: {', '.join(keys)}" for name, keys in self.view.closed.items()]
        reasons = [f"secrets that cannot be opened: {'; '.join(closed)}"] if closed else []
        if (age_s := self.view.topic.age_s) > _OLD_S:
            reasons.append(f"the carriers were current {age_s:.0f} s ago")
        return reasons

    def _states(self) -> dict[str, State]:
        return {one.name: State(closed=one.closed) for one in self.view.carriers.all()}

    async def store(self, records: Sequence[Outgoing]) -> None:
        """Write records, and wait until Kafka has all of them.

        Raises:
            BrokerUnavailable: it does not have all of them in time; it may have some.
        """
        try:
            if self._writer is None:
                raise BrokerUnavailable("not connected yet")
            await self._writer.send_all(records)
        except BrokerUnavailable as error:
            if self._stores:  # once for all requests until one is stored again
                logger.warning("carriers.not_stored", extra={"why": str(error)})
            self._stores = False
            raise
        self._stores = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect as soon as Kafka answers, and disconnect at the end."""
        working = asyncio.create_task(self._work())
        try:
            yield
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _work(self) -> None:
        try:
            await servers.wait_for_servers(self.settings, None, who="carriers")
        except ConfigError as error:
            for problem in error.problems:
                logger.error("carriers.unfit", extra={"why": problem})
            self._end("; ".join(error.problems), exit_code=2)
            return
        try:
            async with AsyncExitStack() as stack:
                self._writer = await self._connect(stack)
                async with asyncio.TaskGroup() as group:
                    group.create_task(self.view.topic.follow())
                    group.create_task(self._figures.run())
                    group.create_task(certificates.keep_current())
        except Exception:
            logger.exception("carriers.broken")
            self._end("a part of this process has ended; the log names it", exit_code=1)

    def _end(self, why: str, *, exit_code: int) -> None:
        self._unfit, self.exit_code = why, exit_code

    async def _connect(self, stack: AsyncExitStack) -> SharedWriter:
        while True:
            try:
                return await stack.enter_async_context(
                    shared_writer(self.settings, patience_s=self.settings.carriers_answer_s)
                )
            except BrokerUnavailable as error:
                logger.warning("carriers.wait", extra={"for_": str(error)})
                await asyncio.sleep(clocks.RETRY_S)
