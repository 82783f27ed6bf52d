"""The state and connections behind every request: configuration, topics, Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated

from fastapi import Depends, Request

from processor import certificates, clocks, histories, servers
from processor.config import Settings
from processor.errors import BrokerUnavailable, ConfigError
from processor.http.auth import Caller, Credentials
from processor.http.blocked_counts import BlockedCounts
from processor.http.count_sums import CountSums
from processor.http.lane_health import LaneHealth
from processor.http.limits import OneEach, Slices, Turns
from processor.http.live import Live
from processor.http.overdue import Overdue
from processor.http.service_warnings import ServiceWarnings
from processor.http.waits import Waits
from processor.kafka.topics.block_list_topic import BlockListTopic
from processor.kafka.topics.carrier_figures_topic import CarrierFigures
from processor.kafka.topics.configuration_writer import Configuration
from processor.kafka.topics.counts_history import CountsHistory
from processor.kafka.topics.dead_letter_counts import DeadLetterCounts
from processor.kafka.topics.statuses_topic import Refused, StatusesTopic
from processor.kafka.writing import Outgoing, Writer, writer
from processor.metrics import Metrics
from processor.reviews import Reviews, texts_of
from processor.stores.block_list import BlockListInspector
from processor.stores.messages import Messages
from processor.stores.redis_block_list import block_list_store
from processor.stores.redis_client import redis_client
from processor.stores.whole_list import WholeList
from processor.wire.json_values import to_ms
from processor.wire.topics import Topics
from schemas.message_status import MessageStatus

logger = logging.getLogger(__name__)

_READ_S = 20.0
_WARNINGS_PAUSE = 4  # slices; no request waits for them
_MOST_CODE = 1 << 31  # limit of a carrier's error codes
_MOST_WORDS = 500  # characters of a carrier's error message


class Backend:
    """Shared by all requests of a process; ``running`` keeps it alive."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topics = Topics.under(settings.topic_prefix)
        self.metrics = Metrics()
        self.redis = redis_client(settings)
        self.configuration = Configuration(settings, self.metrics)
        self.credentials = Credentials(
            settings, self.configuration.accounts, self.metrics.login_refused
        )
        self.messages = Messages.of(settings, self.redis)
        store = block_list_store(settings, self.redis)
        self.block_list_store: BlockListInspector = store
        self._truth = BlockListTopic(settings, self.topics.block_list)
        self.block_list = WholeList(
            partitions=settings.partitions,
            store=store,
            truth=self._truth,
            max_staleness_s=settings.gate_max_staleness_s,
            config=self.configuration.services.topic.view_at,
        )
        self.counts = CountsHistory(settings, self.topics.opt_out_counts, metrics=self.metrics)
        self.sums = CountSums(settings, self.redis, self.metrics)
        self.live = Live(settings, self.topics, self.metrics)
        self.slices = Slices()
        look_ups = Slices()  # separate, as they wait for Kafka
        self.block_changes = histories.block_changes(
            settings, self.redis, metrics=self.metrics, share=look_ups.one
        )
        self.configuration_changes = histories.configuration_changes(
            settings, self.redis, metrics=self.metrics, share=look_ups.one
        )
        # Separate, as either server may be slow.
        self.kafka_turns = Turns(at_once=4, most_waiting=20, within_s=_READ_S)
        self.redis_turns = Turns(at_once=4, most_waiting=20, within_s=_READ_S)
        self.health = LaneHealth(settings, self.topics)
        self.carrier_figures = CarrierFigures(settings, self.topics.carrier_figures, self.metrics)
        self.letters = DeadLetterCounts(settings, self.topics.dead_letters, self.metrics)
        self.blocked = BlockedCounts(store, settings.partitions, self.slices.one)
        self.warnings = ServiceWarnings(
            self.configuration.services, lambda: self.slices.one(_WARNINGS_PAUSE)
        )
        self.reviews = Reviews(settings, texts_of(settings, self.redis), self.send)
        self.overdue = Overdue(settings, self.reviews, self.metrics)
        self.exports = OneEach()
        self.redrives = OneEach()
        self.waits = Waits()  # for the results of lanes
        self._writer: Writer | None = None
        self._unfit = ""
        self.exit_code = 0  # set when the process has to end by itself

    def charge(self, caller: Caller, cost: float) -> None:
        """Charge reads to a caller's rate; see ``RateLimit``."""
        self.credentials.limit.charge(caller.payer, cost)

    def ended(self) -> str:
        """Reasons why this process will never serve again and must be replaced; empty if it may."""
        return self._unfit

    def close_streams(self) -> None:
        """End the streams of the page Live."""
        self.live.close()

    def unready(self) -> list[str]:
        """Reasons why requests cannot be served now; empty if they can."""
        if self._unfit:
            return [self._unfit]
        if self._writer is None:
            return ["waiting for Kafka and Redis"]
        return [] if self.configuration.loaded else ["reading the configuration"]

    async def send(self, *records: Outgoing) -> None:
        """Write records to the partitions of their keys, and wait until they are stored.

        Raises:
            BrokerUnavailable: the broker does not accept them.
        """
        if self._writer is None:
            raise BrokerUnavailable("not connected yet")
        await self._writer.send_all(records)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect as soon as the servers answer, and disconnect at the end."""
        working = asyncio.create_task(self._work())
        try:
            yield
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await self.configuration.close()
            await self.block_list.close()
            await self._truth.close()
            await self.block_changes.close()
            await self.configuration_changes.close()
            await self.redis.close()

    async def _work(self) -> None:
        try:
            await servers.wait_for_servers(self.settings, self.redis, who="api")
        except ConfigError as error:
            for problem in error.problems:
                logger.error("api.unfit", extra={"why": problem})
            self._end("; ".join(error.problems), exit_code=2)
            return
        try:
            async with AsyncExitStack() as stack:
                connected = await self._connect(stack)
                await self._learn()
                self._writer = connected
                async with asyncio.TaskGroup() as group:
                    for work in self._works():
                        group.create_task(work)
        except Exception:
            logger.exception("api.broken")
            self._end("a part of this process has ended; the log names it", exit_code=1)

    def _end(self, why: str, *, exit_code: int) -> None:
        self._unfit, self.exit_code = why, exit_code

    def _works(self) -> list[Coroutine[object, object, None]]:
        """The tasks that run as long as the process."""
        statuses = StatusesTopic(
            self.settings,
            self.topics.message_statuses,
            group=f"{self.settings.topic_prefix}api",
            take=self._advance,
            metrics=self.metrics,
        )
        return [
            self.configuration.follow(),
            statuses.follow(),
            self.counts.follow(),
            *self.sums.works(),
            self.health.follow(),
            self.letters.follow(),
            self.carrier_figures.follow(),
            self.blocked.follow(),
            self.warnings.follow(),
            *self.overdue.works(),
            self.live.follow(),
            self.block_changes.follow(),
            self.configuration_changes.follow(),
            certificates.keep_current(),
        ]

    async def _advance(self, statuses: Sequence[MessageStatus]) -> Refused:
        return await self.messages.advance(
            [(one.account_sid, one.message_sid, _fields_of(one)) for one in statuses]
        )

    async def _learn(self) -> None:
        """Read which block list to trust."""
        while True:
            try:
                await self.block_list.learn()
                return
            except BrokerUnavailable as error:
                logger.warning("api.waits", extra={"for_": str(error)})
                await asyncio.sleep(clocks.RETRY_S)

    async def _connect(self, stack: AsyncExitStack) -> Writer:
        while True:
            try:
                return await stack.enter_async_context(
                    writer(self.settings, linger_ms=0, enable_idempotence=True)
                )
            except BrokerUnavailable as error:
                logger.warning("api.waits", extra={"for_": str(error)})
                await asyncio.sleep(clocks.RETRY_S)


def _fields_of(status: MessageStatus) -> dict[str, str | int]:
    """Take the fields of a status, by the names they are kept under; all values are small."""
    at_ms, code = to_ms(status.at), status.error_code
    fields = {
        "status": status.status,
        "error_code": code if code is not None and abs(code) < _MOST_CODE else None,
        "error_message": status.error_message and status.error_message[:_MOST_WORDS],
        "sender": status.from_,
        "updated_at_ms": at_ms,
        "sent_at_ms": at_ms if status.status == "sent" else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


async def _backend(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


BackendIs = Annotated[Backend, Depends(_backend)]
"""A parameter of every route that needs the backend."""
